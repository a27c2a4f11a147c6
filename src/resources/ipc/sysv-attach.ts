/** Attaching shared memory of System V where it was (shmat(2)): whole, or the piece of it that is left. */
import { MREMAP, PAGE_SIZE, protBits } from "../../abi/mman.ts";
import { SHM } from "../../abi/sysv.ts";
import { unhex } from "../../lib/hex.ts";
import type { ThawProcess } from "../thaw-context.ts";
import { SEGMENT_PREFIX, type SegmentHandle } from "./sysv-attached-segment.ts";
import type { MappingState } from "../memory/mappings.ts";

export function isSegment(mapping: MappingState): boolean {
  return mapping.backing?.object.startsWith(SEGMENT_PREFIX) === true;
}

/**
 * Each mapping is an attachment of its own, as the kernel counts them; neighbours are never joined. Pieces of one
 * shmat(2) stay that: shmdt(2) takes all of them away.
 */
export function placeSegments(process: ThawProcess, mappings: readonly MappingState[]): void {
  const attached = Map.groupBy(mappings, ({ start, backing }) => {
    const from = unhex(start) - (backing?.offset ?? 0);
    return `${backing?.object} ${backing?.writable} ${from}`;
  });
  for (const pieces of attached.values()) attach(process, pieces);
}

function attach({ scope, context }: ThawProcess, pieces: readonly MappingState[]): void {
  const [piece] = pieces;
  if (!piece?.backing) return;
  const { object, offset, writable } = piece.backing;
  const { id, size } = context.object<SegmentHandle>(object);
  const about = `Attaching shared memory ${id} at ${piece.start}`;
  const flags = writable ? 0 : SHM.SHM_RDONLY;
  const whole = Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
  const lengthOf = ({ start, end }: MappingState): number => unhex(end) - unhex(start);
  if (offset === 0 && lengthOf(piece) >= whole) scope.call("shmat", about, id, unhex(piece.start), flags);
  else {
    const first = scope.call("shmat", about, id, 0, flags);
    const move = MREMAP.MREMAP_MAYMOVE | MREMAP.MREMAP_FIXED;
    for (const one of pieces) {
      const length = lengthOf(one);
      scope.call("mremap", about, first + (one.backing?.offset ?? 0), length, length, move, unhex(one.start));
    }
    scope.attempt("munmap", first, whole);
  }
  const given = writable ? "rw" : "r";
  for (const one of pieces) {
    if (one.prot !== given) scope.call("mprotect", about, unhex(one.start), lengthOf(one), protBits(one.prot));
  }
}
