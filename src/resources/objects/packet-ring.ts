/** The memory that a packet socket shares with its program (packet(7), PACKET_RX_RING): it is the socket's. */
import * as v from "valibot";
import { attempt } from "../../abi/call.ts";
import { remoteAddress, type LocalFd } from "../../lib/brand.ts";
import { hex } from "../../lib/hex.ts";
import { Refusal } from "../../lib/errors.ts";
import type { Mapping } from "../../proc/maps.ts";
import type { FreezeProcess, ObjectKind, ThawContext } from "../contract.ts";
import type { ContentsHandle } from "./contents.ts";

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
  throw new Refusal(
    "PACKET_RING",
    {
      what: `Process ${pid} (${command}) shares a ring with a packet socket that has caught packets.`,
      why: `Where the kernel stands in the ring at ${hex(start)} cannot be asked.`,
      remedy: "Stop the capture and start it anew after the thaw.",
    },
    { pid, command, address: hex(start), resource: "mapping" },
  );
}

/** Offsets in struct tpacket_block_desc (TPACKET_V3): the first block is open from the beginning. */
const BLOCK = { STATUS: 8, PACKETS: 12, SEQUENCE: 24, HEADER_SIZE: 48 } as const;

function isFreshBlock(bytes: Buffer): boolean {
  return (
    bytes.readUInt32LE(BLOCK.STATUS) === 0 &&
    bytes.readUInt32LE(BLOCK.PACKETS) === 0 &&
    bytes.readBigUInt64LE(BLOCK.SEQUENCE) <= 1n &&
    bytes.subarray(BLOCK.HEADER_SIZE).every((byte) => byte === 0)
  );
}

export const packetRing: ObjectKind<v.InferOutput<typeof schema>, ContentsHandle> = {
  name: "packet-ring",
  schema,
  thaw: ({ file }, context: ThawContext) => ({ open: () => attempt("dup", context.file(file)) as LocalFd }),
};
