/** How much memory of processes an image will hold, going by what is resident and not shared (proc_pid_statm(5)). */
import { procPath } from "../../sys/task.ts";
import type { Task } from "../../lib/brand.ts";
import { readFileSync } from "node:fs";
import { PAGE_SIZE } from "../../abi/mman.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { askOutside, childrenOf } from "../../proc/read.ts";

/** A process with less memory of its own, in pages, is quickly copied while it stands still. */
const WORTHWHILE_PAGES = 4096;

export interface MemoryToWrite {
  /** All of it, in bytes. */
  readonly total: number;
  /** Of that, what is written while the processes stand still, in bytes; large memory is copied ahead. */
  readonly still: number;
}

/** The processes, of those and all below them, whose memory is worth copying ahead. */
export function worthCopying(roots: readonly number[]): number[] {
  return [...ownPages(roots)].filter(([, pages]) => pages >= WORTHWHILE_PAGES).map(([pid]) => pid);
}

/** What a freeze of these processes and all below them would write. */
export function memoryToWrite(roots: readonly number[]): MemoryToWrite {
  const pages = [...ownPages(roots).values()];
  const sum = (some: readonly number[]): number => some.reduce((all, one) => all + one, 0) * PAGE_SIZE;
  return { total: sum(pages), still: sum(pages.filter((count) => count < WORTHWHILE_PAGES)) };
}

function ownPages(roots: readonly number[]): Map<number, number> {
  const found = new Set<number>(roots);
  for (const pid of found) for (const child of childrenOf(pid)) found.add(child);
  return new Map(
    [...found].map((pid) => {
      const read = (task: Task): string => orIfGone(() => readFileSync(procPath(task, "statm"), "utf8"), "0 0 0");
      const { told: statm } = askOutside(pid, read, (text) => text.startsWith("0 "));
      const [, resident = 0, shared = 0] = statm.split(" ").map(Number);
      return [pid, resident - shared] as const;
    }),
  );
}
