/**
 * Keeps the process ids of the frozen free in the kernel to come: what starts there before the thaw gets its ids
 * from a range that nothing uses now.
 */
import { readdirSync, readFileSync } from "node:fs";

/** The kernel gives ids below this only once, in its youth. */
const RESERVED_PIDS = 300;

/** Between looking and freezing, the processes may start some more threads. */
const MARGIN = 1000;

export interface PidRange {
  /** The id after which the new kernel is to go on counting. */
  readonly last: number;
  readonly max: number;
}

/** Chooses the range: `used` are all ids in use, `max` is one more than the greatest that there can be. */
export function freePidRange(used: readonly number[], max: number): PidRange {
  const sorted = [RESERVED_PIDS, ...used.filter((pid) => pid > RESERVED_PIDS), max].sort((a, b) => a - b);
  let start = RESERVED_PIDS;
  let size = 0;
  for (let index = 1; index < sorted.length; index++) {
    const from = sorted[index - 1] ?? 0;
    const gap = (sorted[index] ?? 0) - from;
    if (gap > size) [start, size] = [from, gap];
  }
  return { last: start + Math.min(MARGIN, Math.floor(size / 2)), max };
}

/** The range on this machine, now. */
export function presentFreePidRange(): PidRange {
  const max = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8"));
  return freePidRange(idsInUse(), max);
}

/** The commands, for a shell, that make a kernel count from there. What does not work there is no reason to stop. */
export function pidRangeScript(range: PidRange): string {
  return [`echo ${range.max} >/proc/sys/kernel/pid_max`, `echo ${range.last} >/proc/sys/kernel/ns_last_pid`, ""].join(
    "\n",
  );
}

/** Ids of processes and threads, and those that groups and sessions go on using after their leader has gone. */
function idsInUse(): number[] {
  const ids = new Set<number>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const tid of readdirSync(`/proc/${pid}/task`)) ids.add(Number(tid));
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      for (const field of [fields[2], fields[3]]) ids.add(Number(field));
    } catch {
      // It ended while we were looking.
    }
  }
  return [...ids];
}
