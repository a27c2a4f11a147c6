/** Datagrams that a UDP socket has not read yet. They come back as packets to ourselves, with their sender's address. */
import * as v from "valibot";
import { injectDatagram } from "../../../abi/packet.ts";
import { parseInet, type InetAddress } from "../../../abi/sockaddr.ts";
import { AF } from "../../../abi/socket.ts";
import type { OpenFile, ThawContext } from "../../contract.ts";
import { inetEnd } from "./inet-common.ts";
import { peekRaw } from "./queue.ts";
import { isPlainV4, PASS_MARK } from "./silence.ts";

export const datagramsSchema = v.strictObject({
  blob: v.string(),
  messages: v.array(v.strictObject({ length: v.number(), from: inetEnd })),
});
export type Datagrams = v.InferOutput<typeof datagramsSchema>;

export function freezeDatagrams(file: OpenFile): Datagrams | undefined {
  const messages = peekRaw(file.local);
  if (messages.length === 0) return undefined;
  const blob = file.context.blob(`udp:${file.stat.inode}`, { bytes: Buffer.concat(messages.map(({ data }) => data)) });
  return { blob, messages: messages.map(({ data, from }) => ({ length: data.length, from: parseInet(from) })) };
}

export function thawDatagrams(datagrams: Datagrams, context: ThawContext, protocol: number, local: InetAddress): void {
  const bytes = context.blob(datagrams.blob);
  context.whenOpen(() => {
    let at = 0;
    for (const { length, from } of datagrams.messages) {
      const v4 = isPlainV4(from.address);
      // Bound to every address: which one it was sent to is not known, and any of ours does.
      const anywhere = /^(0\.0\.0\.0|::)$/.test(local.address);
      const to = { ...local, address: anywhere ? (v4 ? "127.0.0.1" : "::1") : local.address };
      const plain = (end: InetAddress): InetAddress => ({
        ...end,
        address: v4 ? end.address.replace("::ffff:", "") : end.address,
      });
      const data = bytes.subarray(at, at + length);
      injectDatagram(v4 ? AF.AF_INET : AF.AF_INET6, { from: plain(from), to: plain(to), protocol, data }, PASS_MARK);
      at += length;
    }
  });
}
