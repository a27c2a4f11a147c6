/** Which pages of a private mapping are the process's own (Documentation/admin-guide/mm/pagemap.rst). */
import { closeSync, readSync } from "node:fs";
import { openSync } from "../../sys/files.ts";
import type { Task } from "../../lib/brand.ts";
import { procPath } from "../../sys/task.ts";
import { PAGE_SIZE } from "../../abi/mman.ts";
import { NativeBuffer } from "../../sys/ffi.unsafe.ts";
import { runsWithin, scanPages, type PageRegion } from "./page-scan.ts";

/** Runs of pages: number of the first page, counted from the start of the mapping, and how many. */
export type PageRuns = readonly (readonly [first: number, count: number])[];

const ENTRY = 8;
const BATCH = 64 * 1024;
/** High halves of a pagemap entry: bit 63 present, 62 swapped, 61 file or shared. */
const PRESENT = 0x8000_0000;
const SWAPPED = 0x4000_0000;
const FILE = 0x2000_0000;
/** The page frame number is in bits 0 to 54. */
const PFN_HIGH = 0x007f_ffff;

/** Reads a process's pagemap; keeps the file open for the length of the freeze. */
export class Pagemap implements Disposable {
  readonly #fd: number;
  #buffer: Buffer | undefined;
  readonly #regions: readonly PageRegion[] | undefined;

  constructor(task: Task) {
    this.#fd = openSync(procPath(task, "pagemap"), "r");
    this.#regions = scanPages(this.#fd);
  }

  /** The pages between two addresses that are guards (MADV_GUARD_INSTALL), where the kernel tells of them. */
  guardPages(start: number, end: number): PageRuns {
    return this.#regions ? runsWithin(this.#regions, start, end, true) : [];
  }

  /**
   * The pages between two addresses that hold data of the process's own: anonymous pages in memory or swap, copies of
   * file pages that were written to. Untouched pages and the kernel's page of zeros are left out.
   */
  ownPages(start: number, end: number): PageRuns {
    return this.#regions ? runsWithin(this.#regions, start, end, false) : this.#readEntries(start, end);
  }

  /** The same from the pagemap's entries, for kernels before 6.7. */
  #readEntries(start: number, end: number): PageRuns {
    const runs: [number, number][] = [];
    const total = (end - start) / PAGE_SIZE;
    const buffer = (this.#buffer ??= Buffer.allocUnsafe(BATCH * ENTRY));
    let last: [number, number] | undefined;
    for (let base = 0; base < total; base += BATCH) {
      const count = Math.min(BATCH, total - base);
      const got = readSync(this.#fd, buffer, 0, count * ENTRY, (start / PAGE_SIZE + base) * ENTRY);
      for (let i = 0; i < got / ENTRY; i += 1) {
        const high = buffer.readUInt32LE(i * ENTRY + 4);
        if (high === 0) continue;
        const swapped = (high & SWAPPED) !== 0;
        const anonymous = (high & PRESENT) !== 0 && (high & FILE) === 0;
        if (!swapped && !anonymous) continue;
        if (!swapped && isZeroFrame((high & PFN_HIGH) * 2 ** 32 + buffer.readUInt32LE(i * ENTRY))) continue;
        const page = base + i;
        if (last && last[0] + last[1] === page) last[1] += 1;
        else runs.push((last = [page, 1]));
      }
    }
    return runs;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

let zeroFrame: number | undefined;

/** Whether a frame is the kernel's shared page of zeros, found out by reading an untouched page of our own. */
function isZeroFrame(frame: number): boolean {
  if (frame === 0) return false;
  if (zeroFrame === undefined) {
    using page = new NativeBuffer(PAGE_SIZE);
    if (page.bytes[0] !== 0) throw new Error("fresh memory is not zero");
    const entry = Buffer.alloc(ENTRY);
    const fd = openSync("/proc/self/pagemap", "r");
    readSync(fd, entry, 0, ENTRY, (page.address / PAGE_SIZE) * ENTRY);
    closeSync(fd);
    zeroFrame = (entry.readUInt32LE(4) & PFN_HIGH) * 2 ** 32 + entry.readUInt32LE(0);
  }
  return frame === zeroFrame;
}

function countPages(runs: PageRuns): number {
  return runs.reduce((sum, [, count]) => sum + count, 0);
}

/** How many bytes of data mappings have, for which an image holds them. */
export function bytesIn(mappings: readonly { readonly pages: PageRuns }[]): number {
  return mappings.reduce((sum, { pages }) => sum + countPages(pages), 0) * PAGE_SIZE;
}
