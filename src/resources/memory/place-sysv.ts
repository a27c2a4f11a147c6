/** Attaching shared memory of System V where it was (shmat(2)): whole, or the piece of it that is left. */
import { MREMAP, PAGE_SIZE, protBits } from "../../abi/mman.ts";
import { SHM } from "../../abi/sysv.ts";
import { unhex } from "../../lib/hex.ts";
import type { ThawProcess } from "../contract.ts";
import { SEGMENT_PREFIX, type SegmentHandle } from "../objects/sysv-segment.ts";
import type { MappingState } from "./mappings.ts";

export function isSegment(mapping: MappingState): boolean {
  return mapping.backing?.object.startsWith(SEGMENT_PREFIX) === true;
}

/** Each mapping is an attachment of its own, as the kernel counts them; neighbours are never joined. */
export function placeSegment({ scope, context }: ThawProcess, { start, end, prot, backing }: MappingState): void {
  if (!backing) return;
  const { id, size } = context.object<SegmentHandle>(backing.object);
  const at = unhex(start);
  const length = unhex(end) - at;
  const about = `Attaching shared memory ${id} at ${start}`;
  const flags = backing.writable ? 0 : SHM.SHM_RDONLY;
  const whole = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
  if (backing.offset === 0 && length >= whole) scope.call("shmat", about, id, at, flags);
  else {
    const first = scope.call("shmat", about, id, 0, flags);
    const move = MREMAP.MREMAP_MAYMOVE | MREMAP.MREMAP_FIXED;
    scope.call("mremap", about, first + backing.offset, length, length, move, at);
    scope.attempt("munmap", first, whole);
  }
  const given = backing.writable ? "rw" : "r";
  if (prot !== given) scope.call("mprotect", about, at, length, protBits(prot));
}
