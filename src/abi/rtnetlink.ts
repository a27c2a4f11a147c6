/** rtnetlink(7): devices of a network namespace in the attributes of the kernel, where ip(8) has no words for all of it. */
import { closeSync } from "node:fs";
import type { LocalFd } from "../lib/brand.ts";
import { attempt, call, SyscallError } from "./call.ts";
import { NativeBuffer } from "./ffi.unsafe.ts";
import { trySend } from "./message.ts";
import { attributesOf } from "./netlink-diag.ts";
import { AF, SOCK, SOCK_CLOEXEC } from "./socket.ts";

const NETLINK_ROUTE = 0;
const NLMSG_ERROR = 2;
const RTM = { NEWLINK: 16, GETLINK: 18, GETNSID: 90 } as const;
const NLM_F = { REQUEST: 0x1, ACK: 0x4, EXCL: 0x200, CREATE: 0x400 } as const;
const NLA_F_NESTED = 0x8000;
/** include/uapi/linux/if_link.h and net_namespace.h. */
const IFLA = { ADDRESS: 1, IFNAME: 3, LINK: 5, LINKINFO: 18, NET_NS_FD: 28 } as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const NETNSA = { NSID: 1, FD: 3 } as const;
const HEADER = 16;
/** struct ifinfomsg. */
const IFINFO = 16;
const RTGEN = 4;

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

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
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

/** How attributes are told otherwise than they are wanted. */
export interface Told {
  /** They are only told. */
  readonly only?: readonly number[];
  /** Being there at all means something: not there is told as 0. */
  readonly zero?: readonly number[];
  /** Flags that are told as numbers. */
  readonly flags?: readonly number[];
}

/** The attributes as the kernel takes them. */
export function asWanted(data: Buffer, { only = [], zero = [], flags = [] }: Told): Buffer {
  const wanted = [...attributesOf(data, 0)].filter(
    ([type, value]) => !only.includes(type) && !((zero.includes(type) || flags.includes(type)) && value[0] === 0),
  );
  return Buffer.concat(wanted.map(([type, value]) => attribute(type, flags.includes(type) ? Buffer.alloc(0) : value)));
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
