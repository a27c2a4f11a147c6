/** Datagrams that a UDP socket has not read yet. They come back as packets to ourselves, with their sender's address. */
import * as v from "valibot";
import type { ReceivedMessage } from "../../sys/message.ts";
import { injectDatagram, injectMessage } from "../../sys/packet.ts";
import { type InetAddress, parseInet } from "../../abi/sockaddr.ts";
import { AF, IPPROTO } from "../../abi/socket.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { inetEnd, PING } from "./inet-common.ts";
import { manyPackets } from "./raw.ts";
import { peekOnly, peekRaw } from "./receive-queue.ts";
import { isPlainV4, PASS_MARK } from "./quarantine/rules.ts";

export const datagramsSchema = v.strictObject({
  blob: v.string(),
  messages: v.array(
    v.strictObject({
      length: v.number(),
      from: inetEnd,
      /** Where it was sent to, if the program asks for that (IP_PKTINFO). */
      to: v.optional(v.string()),
    }),
  ),
});
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;

export type Datagrams = v.InferOutput<typeof datagramsSchema>;

export function freezeDatagrams(file: OpenFile, protocol: number): Datagrams | undefined {
  const messages = PING.includes(protocol) ? peekOnly(file.local) : peekRaw(file.local);
  if (!messages) throw manyPackets(file);
  if (messages.length === 0) return undefined;
  const blob = file.context.blob(`udp:${file.stat.inode}`, { bytes: Buffer.concat(messages.map(({ data }) => data)) });
  return { blob, messages: messages.map(describe) };
}

function describe({ data, from, control }: ReceivedMessage): Datagrams["messages"][number] {
  const find = (level: number, type: number): Buffer | undefined =>
    control.find((message) => message.level === level && message.type === type)?.data;
  const [four, six] = [find(IPPROTO.IPPROTO_IP, IP_PKTINFO), find(IPPROTO.IPPROTO_IPV6, IPV6_PKTINFO)];
  const raw = Buffer.alloc(28);
  raw.writeUInt16LE(four ? AF.AF_INET : AF.AF_INET6, 0);
  if (four) four.copy(raw, 4, 8, 12);
  else six?.copy(raw, 8, 0, 16);
  const to = parseInet(raw).address;
  return { length: data.length, from: parseInet(from), ...((four ?? six) && !isMulticast(to) && { to }) };
}

/** Sent to a group, it would go out to the network again. */
function isMulticast(address: string): boolean {
  return /^(22[4-9]|23\d|255)\./.test(address) || address.startsWith("ff");
}

export function thawDatagrams(datagrams: Datagrams, context: ThawContext, protocol: number, local: InetAddress): void {
  const bytes = context.blob(datagrams.blob);
  context.during("fill", () => {
    let at = 0;
    for (const { length, from, to: target } of datagrams.messages) {
      const v4 = isPlainV4(from.address);
      // Bound to every address: which one it was sent to is not known, and any of ours does.
      const anywhere = /^(0\.0\.0\.0|::)$/.test(local.address);
      const to = { ...local, address: target ?? (anywhere ? (v4 ? "127.0.0.1" : "::1") : local.address) };
      const plain = (end: InetAddress): InetAddress => ({
        ...end,
        address: v4 ? end.address.replace("::ffff:", "") : end.address,
      });
      const data = bytes.subarray(at, at + length);
      if (PING.includes(protocol)) {
        const ends = { from: plain(from).address, to: plain(to).address, protocol };
        injectMessage(v4 ? AF.AF_INET : AF.AF_INET6, data, ends, PASS_MARK);
      } else
        injectDatagram(v4 ? AF.AF_INET : AF.AF_INET6, { from: plain(from), to: plain(to), protocol, data }, PASS_MARK);
      at += length;
    }
  });
}
