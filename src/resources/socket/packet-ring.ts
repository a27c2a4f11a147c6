/** The memory that a packet socket shares with its program (packet(7), PACKET_RX_RING): it is the socket's. */
import { TPACKET_BLOCK } from "../../abi/packet-socket.ts";
import * as v from "valibot";
import { attempt } from "../../sys/call.ts";
import { remoteAddress, type LocalFd } from "../../lib/brand.ts";
import { hex } from "../../lib/hex.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Mapping } from "../../proc/maps.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import type { ContentsHandle } from "../file/contents.ts";

const schema = v.strictObject({ kind: v.literal("packet-ring"), file: v.string() });

export function packetRingId(inode: bigint | number): string {
  return `packet-ring:${inode}`;
}

export function isPacketRing({ path }: Mapping): boolean {
  return path.startsWith("socket:[");
}

/** Where in the ring the kernel stands can be told only of one that nothing has come to yet. */
export function freezePacketRing({ pid, command, scope }: FreezeProcess, { start, end, inode }: Mapping): string {
  const bytes = scope.memory.read(remoteAddress(start), end - start);
  if (bytes.every((byte) => byte === 0) || isFreshBlock(bytes)) return packetRingId(inode);
  throw failures.PACKET_RING({ pid, command, address: hex(start) });
}

function isFreshBlock(bytes: Buffer): boolean {
  return (
    bytes.readUInt32LE(TPACKET_BLOCK.STATUS) === 0 &&
    bytes.readUInt32LE(TPACKET_BLOCK.PACKETS) === 0 &&
    bytes.readBigUInt64LE(TPACKET_BLOCK.SEQUENCE) <= 1n &&
    bytes.subarray(TPACKET_BLOCK.HEADER_SIZE).every((byte) => byte === 0)
  );
}

export const packetRing: ObjectKind<v.InferOutput<typeof schema>, ContentsHandle, "packet-ring"> = {
  name: "packet-ring",
  schema,
  thaw: ({ file }, context: ThawContext) => ({ open: () => attempt("dup", context.file(file)) as LocalFd }),
};
