/** Raw sockets (raw(7)): protocol, addresses, options, and packets that were not read yet. */
import { failures } from "../../errors/catalogue.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { injectMessage, injectPacket } from "../../sys/packet.ts";
import { inetAddress, parseInet } from "../../abi/sockaddr.ts";
import { AF, SOCK } from "../../abi/socket.ts";
import { useAddress } from "../../sys/socket.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import type { Refusal } from "../../errors/failure.ts";
import { freezeError } from "./pending-error.ts";
import { dropAll, filterSchema, freezeFilter, takeAll, thawFilter } from "./filter.ts";
import {
  familyName,
  inetEnd,
  inetOptions,
  inetSort,
  localAddress,
  newInetSocket,
  peerAddress,
  protocolName,
  refuseForeignNetwork,
  showAddress,
  type InetSort,
} from "./inet-common.ts";
import { freezeMemberships, membershipSchema, thawMemberships } from "./multicast.ts";
import { optionsSchema, thawOptions } from "./options.ts";
import { peekOnly } from "./receive-queue.ts";
import { networkNeed } from "./quarantine/requirements.ts";
import { PASS_MARK } from "./quarantine/rules.ts";

const schema = v.strictObject({
  family: v.picklist(["AF_INET", "AF_INET6"]),
  protocol: v.number(),
  options: optionsSchema,
  local: v.optional(inetEnd),
  remote: v.optional(inetEnd),
  memberships: v.optional(v.array(membershipSchema)),
  filter: v.optional(filterSchema),
  /** Packets not read yet: with their header in IPv4, without and with their sender in IPv6. */
  packets: v.optional(
    v.strictObject({ blob: v.string(), messages: v.array(v.strictObject({ length: v.number(), from: inetEnd })) }),
  ),
});
type RawState = v.InferOutput<typeof schema>;

/** Protocols that the kernel itself answers; packets of theirs, received again, would be answered again. */
const ANSWERED: readonly number[] = [1, 2, 4, 6, 17, 41, 47, 50, 51, 58, 132, 136];
/** But not these messages of ICMP and ICMPv6: replies that nobody but raw sockets takes. */
const REPLIES: Readonly<Record<number, readonly number[]>> = { 1: [0, 14, 18], 58: [129] };
const ANYWHERE = /^(0\.0\.0\.0|::)$/;

export const rawSocket: FileKind<RawState, "raw-socket"> = {
  name: "raw-socket",
  schema,
  recognise: (file) => inetSort(file)?.type === SOCK.SOCK_RAW,
  network: (state) => ({ need: networkNeed(state) }),
  freeze(file) {
    const sort = inetSort(file) as InetSort;
    refuseForeignNetwork(file);
    const local = localAddress(file.local);
    const remote = peerAddress(file.local) ?? remoteWithoutPort(file, sort.family);
    freezeError(file, sort, local.address, remote?.address);
    const memberships = freezeMemberships(file, sort.family);
    const filter = freezeFilter(file);
    const packets = freezePackets(file, sort);
    return {
      family: familyName(sort.family) as RawState["family"],
      protocol: sort.protocol,
      options: inetOptions(file, sort),
      ...(!ANYWHERE.test(local.address) && { local }),
      ...(remote && { remote }),
      ...(memberships.length > 0 && { memberships }),
      ...(filter !== undefined && { filter }),
      ...(packets && { packets }),
    };
  },
  thaw(state, context) {
    const family = AF[state.family];
    const about = `a raw socket of protocol ${protocolName(state.protocol)}`;
    const fd = context.keep(newInetSocket({ family, type: SOCK.SOCK_RAW, protocol: state.protocol }));
    // What is received again for another socket is not meant for this one.
    dropAll(fd);
    thawOptions(fd, state.options, "early");
    if (state.local) useAddress("bind", fd, inetAddress(family, state.local), `Binding ${about}`);
    if (state.remote)
      useAddress(
        "connect",
        fd,
        inetAddress(family, state.remote),
        `Connecting ${about} to ${showAddress(state.remote)}`,
      );
    thawMemberships(fd, state.memberships ?? []);
    context.during("fill", () => {
      takeAll(fd);
      const bytes = state.packets ? context.blob(state.packets.blob) : Buffer.alloc(0);
      let at = 0;
      for (const { length, from } of state.packets?.messages ?? []) {
        const to = state.local?.address ?? "::1";
        const packet = bytes.subarray(at, at + length);
        if (family === AF.AF_INET) injectPacket(packet, PASS_MARK);
        else injectMessage(family, packet, { from: from.address, to, protocol: state.protocol }, PASS_MARK);
        at += length;
      }
      dropAll(fd);
    });
    context.during("arm", () => {
      takeAll(fd);
      thawFilter(fd, state.filter);
      thawOptions(fd, state.options, "late");
    });
    return fd;
  },
};

function freezePackets(file: OpenFile, { family, protocol }: InetSort): RawState["packets"] {
  const messages = peekOnly(file.local);
  if (!messages) throw manyPackets(file);
  if (messages.length === 0) return undefined;
  for (const { data } of messages) {
    const type = data[family === AF.AF_INET ? ((data[0] ?? 0) & 15) * 4 : 0] ?? -1;
    if (!ANSWERED.includes(protocol) || REPLIES[protocol]?.includes(type)) continue;
    throw failures.RAW_PACKETS.ofKernel({ file, protocol: protocolName(protocol) });
  }
  const blob = file.context.blob(`raw:${file.stat.inode}`, { bytes: Buffer.concat(messages.map(({ data }) => data)) });
  return { blob, messages: messages.map(({ data, from }) => ({ length: data.length, from: parseInet(from) })) };
}

export function manyPackets(file: OpenFile): Refusal {
  return failures.RAW_PACKETS.several({ file });
}

/** getpeername(2) denies a connection without a port; /proc/net/raw does not. */
function remoteWithoutPort({ stat }: OpenFile, family: number): RawState["remote"] {
  const text = readFileSync(`/proc/thread-self/net/${family === AF.AF_INET ? "raw" : "raw6"}`, "utf8");
  for (const line of text.split("\n").slice(1)) {
    const words = line.trim().split(/\s+/);
    if (words[9] !== String(stat.inode)) continue;
    const [address = "", port = "0"] = (words[2] ?? "").split(":");
    // Words of four bytes, each of this machine's order.
    const raw = Buffer.alloc(28);
    raw.writeUInt16LE(family, 0);
    raw.writeUInt16BE(Number.parseInt(port, 16), 2);
    Buffer.from(address, "hex")
      .swap32()
      .copy(raw, family === AF.AF_INET ? 4 : 8);
    const remote = parseInet(raw);
    return ANYWHERE.test(remote.address) ? undefined : remote;
  }
  return undefined;
}
