/**
 * A packet socket (packet(7)): protocol, device, memberships, rings. What has been caught stands in a queue that only the
 * network fills: it must have been read.
 */
import { failures } from "../../errors/catalogue.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { call } from "../../sys/call.ts";
import { PACKET, SOL_PACKET } from "../../abi/packet-socket.ts";
import { type PacketSocketInfo, interfaceIndex, interfaceName, packetSockets } from "../../sys/packet-socket.ts";
import { AF, SIOCINQ, SO, SOCK_CLOEXEC, SOL, intBytes } from "../../abi/socket.ts";
import { getInt, ioctlInt, setOption, trySetOption, useAddress } from "../../sys/socket.ts";
import { S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { packetRingId } from "./packet-ring.ts";
import { filterSchema, freezeFilter, thawFilter } from "./filter.ts";
import { refuseForeignNetwork } from "./inet-common.ts";
import { SOCKET_OPTIONS } from "./option-tables.ts";
import { freezeOptions, optionsSchema, thawOptions } from "./options.ts";

const TYPES = { SOCK_DGRAM: 2, SOCK_RAW: 3, SOCK_PACKET: 10 } as const;
type TypeName = keyof typeof TYPES;

/** Read and set one by one, before there are rings. */
const OPTIONS = [
  "PACKET_VERSION",
  "PACKET_RESERVE",
  "PACKET_AUXDATA",
  "PACKET_ORIGDEV",
  "PACKET_LOSS",
  "PACKET_VNET_HDR",
  "PACKET_TIMESTAMP",
  "PACKET_TX_HAS_OFF",
  "PACKET_QDISC_BYPASS",
  "PACKET_IGNORE_OUTGOING",
] as const;

/** Struct tpacket_req3, or the first four words of it. */
const ringSchema = v.optional(v.array(v.number()));
const schema = v.strictObject({
  type: v.picklist(Object.keys(TYPES) as TypeName[]),
  /** ETH_P_…; 0 catches nothing. */
  protocol: v.number(),
  /** The device that it is bound to. */
  device: v.optional(v.string()),
  packetOptions: v.record(v.string(), v.number()),
  memberships: v.array(
    v.strictObject({ device: v.string(), count: v.number(), type: v.number(), address: v.string() }),
  ),
  receiveRing: ringSchema,
  sendRing: ringSchema,
  fanout: v.optional(v.number()),
  options: optionsSchema,
  filter: v.optional(filterSchema),
});

/** Fanout by a program of the user's, which cannot be read. */
const PROGRAM_FANOUTS: readonly number[] = [6, 7];
const TPACKET_V3 = 2;

export const packetSocket: FileKind<v.InferOutput<typeof schema>, "packet-socket"> = {
  name: "packet-socket",
  schema,
  recognise: (file) =>
    file.stat.type === S_IF.S_IFSOCK && getInt(file.local, SOL.SOL_SOCKET, SO.SO_DOMAIN) === AF.AF_PACKET,
  freeze(file) {
    refuseForeignNetwork(file);
    const info = infoOf(file);
    refuseCaught(file);
    const number = getInt(file.local, SOL.SOL_SOCKET, SO.SO_TYPE) ?? 0;
    const type = nameOf(TYPES, number) as TypeName;
    const fanout = getInt(file.local, SOL_PACKET, PACKET.PACKET_FANOUT) ?? 0;
    if (PROGRAM_FANOUTS.includes((fanout >>> 16) & 0xff)) {
      throw failures.SOCKET_BPF.group({ file });
    }
    const id = file.context.fileId(file.pid, file.fd);
    if ((info.receiveRing ?? info.sendRing) && id !== undefined) {
      file.context.object(packetRingId(file.stat.inode), () => ({ kind: "packet-ring", file: id }) as const);
    }
    const make = (): LocalFd => call("socket", "Making a socket", AF.AF_PACKET, number | SOCK_CLOEXEC, 0) as LocalFd;
    const filter = freezeFilter(file);
    return {
      type,
      protocol: info.protocol,
      ...(info.index !== 0 && { device: interfaceName(file.local, info.index) }),
      packetOptions: Object.fromEntries(
        OPTIONS.flatMap((name) => {
          const value = getInt(file.local, SOL_PACKET, PACKET[name]) ?? 0;
          return value === 0 ? [] : [[name, value]];
        }),
      ),
      memberships: info.memberships.map((one) => ({
        device: interfaceName(file.local, one.index),
        count: one.count,
        type: one.type,
        address: one.address.toString("hex"),
      })),
      ...(info.receiveRing && { receiveRing: [...info.receiveRing] }),
      ...(info.sendRing && { sendRing: [...info.sendRing] }),
      ...(fanout !== 0 && { fanout }),
      options: freezeOptions(file.local, [SOCKET_OPTIONS], `packet:${number}`, make, closeSync),
      ...(filter !== undefined && { filter }),
    };
  },
  thaw(state, context) {
    const fd = context.keep(
      call("socket", "Making a packet socket", AF.AF_PACKET, TYPES[state.type] | SOCK_CLOEXEC, 0) as LocalFd,
    );
    thawOptions(fd, state.options, "early");
    for (const name of OPTIONS) {
      const value = state.packetOptions[name];
      if (value !== undefined) setOption(fd, SOL_PACKET, PACKET[name], intBytes(value), `Setting ${name}`);
    }
    const version = state.packetOptions["PACKET_VERSION"] ?? 0;
    setRing(fd, PACKET.PACKET_RX_RING, version, state.receiveRing);
    setRing(fd, PACKET.PACKET_TX_RING, version, state.sendRing);
    // The filter before the first packet.
    thawFilter(fd, state.filter);
    bindPacket(fd, state);
    for (const one of state.memberships) addMembership(fd, one);
    if (state.fanout !== undefined) setOption(fd, SOL_PACKET, PACKET.PACKET_FANOUT, intBytes(state.fanout), "Joining");
    thawOptions(fd, state.options, "late");
    return fd;
  },
};

function infoOf(file: OpenFile): PacketSocketInfo {
  const info = packetSockets().find(({ inode }) => inode === Number(file.stat.inode));
  if (info) return info;
  throw failures.SOCKET_FAMILY.packetUntold({ file });
}

function refuseCaught(file: OpenFile): void {
  const first = ioctlInt(file.local, SIOCINQ) ?? 0;
  if (first === 0) return;
  throw failures.PACKETS_CAUGHT({ file, first });
}

function setRing(fd: LocalFd, option: number, version: number, words: readonly number[] | undefined): void {
  if (!words) return;
  const request = Buffer.alloc(version === TPACKET_V3 ? 28 : 16);
  for (let i = 0; i * 4 < request.length; i += 1) request.writeUInt32LE(words[i] ?? 0, i * 4);
  setOption(fd, SOL_PACKET, option, request, "Making the ring of a packet socket");
}

function bindPacket(fd: LocalFd, { type, protocol, device }: v.InferOutput<typeof schema>): void {
  if (protocol === 0 && device === undefined) return;
  const address = Buffer.alloc(type === "SOCK_PACKET" ? 16 : 20);
  address.writeUInt16LE(AF.AF_PACKET, 0);
  if (type === "SOCK_PACKET") address.write(device ?? "", 2, 13, "latin1");
  else {
    address.writeUInt16BE(protocol, 2);
    address.writeInt32LE(device === undefined ? 0 : interfaceIndex(fd, device), 4);
  }
  useAddress("bind", fd, address, `Binding a packet socket to ${device ?? "all devices"}`);
}

function addMembership(
  fd: LocalFd,
  { device, count, type, address }: v.InferOutput<typeof schema>["memberships"][number],
): void {
  const request = Buffer.alloc(16);
  const bytes = Buffer.from(address, "hex");
  request.writeInt32LE(interfaceIndex(fd, device), 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(bytes.length, 6);
  bytes.copy(request, 8, 0, 8);
  for (let i = 0; i < count; i += 1) trySetOption(fd, SOL_PACKET, PACKET.PACKET_ADD_MEMBERSHIP, request);
}
