/**
 * Pages that relatives have in common since fork(2): one page in memory until somebody writes to it. A page has the
 * same frame in all of them (Documentation/admin-guide/mm/pagemap.rst), at the same address.
 */
import { closeSync, readSync } from "node:fs";
import { openSync } from "../../sys/files.ts";
import type { Pid, Task } from "../../lib/brand.ts";
import { procPath } from "../../sys/task.ts";
import { PAGE_SIZE } from "../../abi/mman.ts";
import { unhex } from "../../lib/hex.ts";
import type { MappingState } from "./mappings.ts";

export interface Holder {
  readonly pid: number;
  readonly mappings: readonly MappingState[];
}

const ENTRY = 8;
/** High half of an entry: bit 62, swapped out; bit 56, mapped by nobody else; the number is below bit 55. */
const SWAPPED = 0x4000_0000;
const EXCLUSIVE = 0x0100_0000;
const NUMBER = 0x007f_ffff;

/** Notes in each mapping which pages an earlier process of the list has too. Parents come before children. */
export function noteCommonPages(tasks: ReadonlyMap<Pid, Task>, processes: readonly Holder[]): void {
  if (processes.length < 2) return;
  const first = new Map<number, { readonly pid: number; readonly address: number }>();
  for (const { pid, mappings } of processes) {
    const pagemap = openSync(procPath(tasks.get(pid) as Task, "pagemap"), "r");
    try {
      for (const mapping of mappings) {
        if (mapping.pages.length === 0 || mapping.hugePage !== undefined) continue;
        const common: [number, number, number][] = [];
        for (const [page, frame] of framesOf(pagemap, mapping)) {
          const address = unhex(mapping.start) + page * PAGE_SIZE;
          const known = first.get(frame);
          if (!known) first.set(frame, { pid, address });
          else if (known.address === address && known.pid !== pid) append(common, page, known.pid);
        }
        if (common.length > 0) mapping.cowShared = common;
      }
    } finally {
      closeSync(pagemap);
    }
  }
}

function append(runs: [number, number, number][], page: number, pid: number): void {
  const last = runs.at(-1);
  if (last && last[0] + last[1] === page && last[2] === pid) last[1] += 1;
  else runs.push([page, 1, pid]);
}

/** The pages that others may have too, with a number for each that says which page it is, in memory or in swap. */
function* framesOf(pagemap: number, mapping: MappingState): Generator<[page: number, frame: number]> {
  const firstPage = unhex(mapping.start) / PAGE_SIZE;
  for (const [first, count] of mapping.pages) {
    const entries = Buffer.allocUnsafe(count * ENTRY);
    const got = readSync(pagemap, entries, 0, entries.length, (firstPage + first) * ENTRY);
    for (let i = 0; i < got / ENTRY; i += 1) {
      const high = entries.readUInt32LE(i * ENTRY + 4);
      if ((high & EXCLUSIVE) !== 0) continue;
      const frame = (high & NUMBER) * 2 ** 32 + entries.readUInt32LE(i * ENTRY);
      // Without rights the kernel says nothing but that there is a page.
      if (frame !== 0) yield [first + i, (high & SWAPPED) === 0 ? frame : -frame];
    }
  }
}
