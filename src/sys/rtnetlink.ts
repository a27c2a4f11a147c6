/** rtnetlink(7): devices of a network namespace in the attributes of the kernel, where ip(8) has no words for all of it. */
import { closeSync } from "node:fs";
import { HEADER, NLMSG_ERROR, attributesOf } from "../abi/netlink-diag.ts";
import {
  IFINFO,
  IFLA,
  IFLA_INFO,
  NETLINK_ROUTE,
  NETNSA,
  NLA_F_NESTED,
  NLM_F,
  RTGEN,
  RTM,
  attribute,
} from "../abi/rtnetlink.ts";
import { AF, SOCK, SOCK_CLOEXEC } from "../abi/socket.ts";
import type { LocalFd } from "../lib/brand.ts";
import { SyscallError, attempt, call } from "./call.ts";
import { NativeBuffer } from "./ffi.unsafe.ts";
import { trySend } from "./message.ts";

/** Asks one question of the namespace that this thread is in; returns the answer behind struct nlmsghdr. */
function ask(about: string, type: number, flags: number, body: Buffer): Buffer {
  const fd = call("socket", about, AF.AF_NETLINK, SOCK.SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  try {
    const header = Buffer.alloc(HEADER);
    header.writeUInt32LE(HEADER + body.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(NLM_F.REQUEST | flags, 6);
    const sent = trySend(fd, Buffer.concat([header, body]), [], undefined);
    if (sent < 0) throw new SyscallError("sendmsg", sent, about);
    using room = new NativeBuffer(64 * 1024);
    const got = attempt("recvfrom", fd, room.address, room.size, 0, 0, 0);
    if (got < 0) throw new SyscallError("recvfrom", got, about);
    const error = room.bytes.readUInt16LE(4) === NLMSG_ERROR ? room.bytes.readInt32LE(HEADER) : 0;
    if (error < 0) throw new SyscallError("rtnetlink", error, about);
    return Buffer.from(room.bytes.subarray(HEADER, room.bytes.readUInt32LE(0)));
  } finally {
    closeSync(fd);
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  return bytes;
}

/** What a kind of device says of itself (IFLA_INFO_DATA): attributes as RTM_NEWLINK takes them. */
export function linkData(index: number): Buffer {
  const request = Buffer.alloc(IFINFO);
  request.writeInt32LE(index, 4);
  const answer = ask("Asking about a network device", RTM.GETLINK, 0, request);
  const info = attributesOf(answer, IFINFO).get(IFLA.LINKINFO) ?? Buffer.alloc(0);
  return Buffer.from(attributesOf(info, 0).get(IFLA_INFO.DATA) ?? []);
}

/** Who may attach to a device of /dev/net/tun that stays by itself: IFLA_TUN_OWNER and IFLA_TUN_GROUP of its data. */
export function tunOwners(index: number): { user: number | undefined; group: number | undefined } {
  const data = attributesOf(linkData(index), 0);
  return { user: data.get(1)?.readUInt32LE(0), group: data.get(2)?.readUInt32LE(0) };
}

export interface NewLink {
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  readonly data: Buffer;
  readonly address: string | undefined;
  /** The device below, by its number in the namespace that this thread is in. */
  readonly below: number | undefined;
  /** Where the device is to be; absent: here. */
  readonly namespace: LocalFd | undefined;
}

export function makeLink({ index, name, kind, data, address, below, namespace }: NewLink): void {
  const header = Buffer.alloc(IFINFO);
  header.writeInt32LE(index, 4);
  const info = Buffer.concat([
    attribute(IFLA_INFO.KIND, Buffer.from(kind)),
    ...(data.length > 0 ? [attribute(IFLA_INFO.DATA | NLA_F_NESTED, data)] : []),
  ]);
  const body = Buffer.concat([
    header,
    attribute(IFLA.IFNAME, Buffer.from(`${name}\0`)),
    ...(address === undefined ? [] : [attribute(IFLA.ADDRESS, Buffer.from(address.replaceAll(":", ""), "hex"))]),
    ...(below === undefined ? [] : [attribute(IFLA.LINK, number(below))]),
    ...(namespace === undefined ? [] : [attribute(IFLA.NET_NS_FD, number(namespace))]),
    attribute(IFLA.LINKINFO | NLA_F_NESTED, info),
  ]);
  ask(`Making the network device ${name}`, RTM.NEWLINK, NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL, body);
}

/** What the namespace that this thread is in calls another one (ip-netns(8), netnsid); undefined without a name. */
export function namespaceId(namespace: LocalFd): number | undefined {
  const request = Buffer.concat([Buffer.alloc(RTGEN), attribute(NETNSA.FD, number(namespace))]);
  const id = attributesOf(ask("Asking for a netnsid", RTM.GETNSID, 0, request), RTGEN)
    .get(NETNSA.NSID)
    ?.readInt32LE(0);
  return id === undefined || id < 0 ? undefined : id;
}
