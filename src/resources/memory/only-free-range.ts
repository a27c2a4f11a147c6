/** Getting a mapping to its old address when the kernel insists on choosing the address itself, as io_uring does. */
import { readFileSync } from "../../sys/files.ts";
import { livingThread, procPath } from "../../sys/task.ts";
import { MAP } from "../../abi/mman.ts";
import { parseMaps } from "../../proc/maps.ts";
import type { RemoteScope } from "../../tracee/scope.ts";

/** Addresses that mmap(2) may choose from: above vm.mmap_min_addr, below the end of user space (47 bits). */
const LOWEST = 0x1_0000;
const HIGHEST = 0x7fff_ffff_f000;

/**
 * Runs `map`, an mmap(2) without an address, while `start` to `start + length` is the only free place in the address
 * space; returns what it answered. Everything else is filled with reservations for the moment, which cost nothing.
 */
export function mapIntoOnlyGap(scope: RemoteScope, start: number, length: number, map: () => number): number {
  const taken = parseMaps(readFileSync(procPath(livingThread(scope.tid), "maps"), "utf8"))
    .filter((mapping) => mapping.start < HIGHEST)
    .concat([{ ...NOTHING, start, end: start + length }])
    .toSorted((a, b) => a.start - b.start);
  const fillers: { at: number; size: number }[] = [];
  let at = LOWEST;
  for (const mapping of [...taken, { start: HIGHEST, end: HIGHEST }]) {
    if (mapping.start > at) fillers.push({ at, size: mapping.start - at });
    at = Math.max(at, mapping.end);
  }
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS | MAP.MAP_NORESERVE | MAP.MAP_FIXED_NOREPLACE;
  try {
    for (const { at: address, size } of fillers)
      scope.call("mmap", "Reserving address space", address, size, 0, flags, -1, 0);
    return map();
  } finally {
    for (const { at: address, size } of fillers) scope.attempt("munmap", address, size);
  }
}

const NOTHING = { prot: "", shared: false, offset: 0, device: "", inode: 0, path: "", flags: [] };
