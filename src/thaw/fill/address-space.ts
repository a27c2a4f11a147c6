/** Free address space (user space of x86-64: 47 bits). */
import { InconsistentImage } from "../../errors/wrong-input.ts";

export interface Range {
  readonly start: number;
  readonly end: number;
  /** Stacks grow downwards: the space below them is theirs. */
  readonly growsDown?: boolean;
}

const LOWEST = 0x10_0000;
const HIGHEST = 0x7fff_ffff_e000;
const PAGE = 4096;
/** Kept free around what we place, so that neither neighbour can grow into it soon. */
const MARGIN = 1024 * 1024;

/** A page-aligned place of `size` bytes, from the top of the address space down, that touches none of `taken`. */
export function findFreeSpace(taken: readonly Range[], size: number): number {
  const sorted = taken.toSorted((a, b) => b.end - a.end);
  let ceiling = HIGHEST;
  let ceilingGrows = false;
  for (const range of [...sorted, { start: LOWEST, end: LOWEST }]) {
    const room = ceiling - range.end;
    if (!ceilingGrows && room >= size + 2 * MARGIN) {
      return Math.floor((ceiling - MARGIN - size) / PAGE) * PAGE;
    }
    if (range.start < ceiling) {
      ceiling = range.start;
      ceilingGrows = range.growsDown === true;
    }
  }
  throw new InconsistentImage(`no free address space of ${size} bytes`);
}
