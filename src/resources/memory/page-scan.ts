/** PAGEMAP_SCAN (ioctl_pagemap_scan(2), Linux 6.7): the kernel itself finds the pages that a process owns. */
import { PAGEMAP_SCAN, PAGE_IS, PM_SCAN_ARG_SIZE, PAGE_REGION_SIZE } from "../../abi/mman.ts";
import { attempt, withStruct } from "../../sys/call.ts";
import { NativeBuffer } from "../../sys/ffi.unsafe.ts";
import { PAGE_SIZE } from "../../abi/mman.ts";

const REGIONS = 4096;
/** User space of x86-64, but for its last page. */
const HIGHEST = 0x7fff_ffff_f000n;

/** A stretch of a process's own pages; neighbouring mappings may share one. */
export interface PageRegion {
  readonly start: number;
  readonly end: number;
  /** Pages that fault when touched: MADV_GUARD_INSTALL of madvise(2). */
  readonly guard: boolean;
}

/**
 * All pages that hold data of the process's own, in the order of their addresses; `undefined` where the kernel cannot
 * scan. Kernels that know no guard regions in a pagemap (before 6.15) are asked without them.
 */
export function scanPages(pagemap: number): PageRegion[] | undefined {
  return scan(pagemap, PAGE_IS.GUARD) ?? scan(pagemap, 0n);
}

function scan(pagemap: number, guard: bigint): PageRegion[] | undefined {
  using found = new NativeBuffer(REGIONS * PAGE_REGION_SIZE);
  const regions: PageRegion[] = [];
  const words = new BigUint64Array(found.bytes.buffer, found.bytes.byteOffset, REGIONS * 3);
  for (let start = 0n; start < HIGHEST;) {
    const next = withStruct(PM_SCAN_ARG_SIZE, (bytes, address) => {
      const inverted = PAGE_IS.FILE | PAGE_IS.PFNZERO;
      const anyOf = PAGE_IS.PRESENT | PAGE_IS.SWAPPED | guard;
      const fields = [
        BigInt(PM_SCAN_ARG_SIZE),
        0n,
        start,
        HIGHEST,
        0n,
        BigInt(found.address),
        BigInt(REGIONS),
        0n,
        inverted,
        inverted,
        anyOf,
        guard,
      ];
      fields.forEach((field, i) => bytes.writeBigUInt64LE(field, i * 8));
      const count = attempt("ioctl", pagemap, PAGEMAP_SCAN, address);
      if (count < 0) return undefined;
      for (let i = 0; i < count; i += 1) {
        regions.push({
          start: Number(words[i * 3]),
          end: Number(words[i * 3 + 1]),
          guard: ((words[i * 3 + 2] as bigint) & guard) !== 0n,
        });
      }
      // walk_end is not asked: kernels (6.18) leave an older place in it when they have gone to the end.
      return count < REGIONS ? HIGHEST : (words[(count - 1) * 3 + 1] as bigint);
    });
    if (next === undefined) return undefined;
    start = next;
  }
  return regions;
}

/** The runs of pages of a mapping, counted from its start, out of regions in order. */
export function runsWithin(
  regions: readonly PageRegion[],
  start: number,
  end: number,
  guard: boolean,
): [number, number][] {
  let low = 0;
  for (let high = regions.length; low < high;) {
    const middle = (low + high) >>> 1;
    if ((regions[middle] as PageRegion).end <= start) low = middle + 1;
    else high = middle;
  }
  const runs: [number, number][] = [];
  for (let region = regions[low]; region && region.start < end; region = regions[(low += 1)]) {
    if (region.guard !== guard) continue;
    const from = (Math.max(region.start, start) - start) / PAGE_SIZE;
    const count = (Math.min(region.end, end) - start) / PAGE_SIZE - from;
    const last = runs.at(-1);
    if (last && last[0] + last[1] === from) last[1] += count;
    else runs.push([from, count]);
  }
  return runs;
}
