/** What the processes of a set share though they are no threads of one another: kcmp(2) puts them in order. */
import { compareTasks, livingThread } from "../../sys/task.ts";
import { attempt } from "../../sys/call.ts";
import { CLONE } from "../../abi/clone.ts";
import { KCMP } from "../../abi/fcntl.ts";
import { planClones, SHARES, type ProcessIdentity, type Share } from "../../image/clone-plan.ts";
import type { Pid, Task } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { readStat } from "../../proc/read.ts";

const TYPES: Readonly<Record<Share, number>> = {
  memory: KCMP.VM,
  files: KCMP.FILES,
  filesystem: KCMP.FS,
  signalActions: KCMP.SIGHAND,
  semaphoreUndo: KCMP.SYSVSEM,
  io: KCMP.IO,
};
/** Few processes have these; all others have the same nothing, and so has our thread. */
const OFTEN_NONE: readonly Share[] = ["semaphoreUndo", "io"];

/** kcmp(2) answers 1 for less, 2 for greater, and 3 for neither. */
function compare(a: Task, b: Task, type: number): number {
  const result = compareTasks(a, b, type);
  return result === 1 ? -1 : result <= 0 ? result : 1;
}

export interface Member {
  readonly pid: Pid;
  readonly task: Task;
}

/** For each process, who holds the state of what it shares: the first of those who share it. */
export function findShares(members: readonly Member[]): Map<number, Partial<Record<Share, number>>> {
  const found = new Map<number, Partial<Record<Share, number>>>();
  if (members.length < 2) return found;
  attempt("unshare", CLONE.SYSVSEM);
  const self = livingThread(attempt("gettid"));
  const rank = new Map(members.map(({ pid }, i) => [pid, i]));
  for (const share of SHARES) {
    const having = OFTEN_NONE.includes(share)
      ? members.filter(({ task }) => compareTasks(task, self, TYPES[share]) > 0)
      : members;
    const sorted = having.toSorted((a, b) => compare(a.task, b.task, TYPES[share]));
    for (let first = 0; first < sorted.length;) {
      let next = first + 1;
      const one = sorted[first] as Member;
      while (next < sorted.length && compare(one.task, (sorted[next] as Member).task, TYPES[share]) === 0) next += 1;
      const group = sorted.slice(first, next).map(({ pid }) => pid);
      first = next;
      if (group.length < 2) continue;
      const holder = group.reduce((low, pid) => ((rank.get(pid) ?? 0) < (rank.get(low) ?? 0) ? pid : low));
      for (const pid of group) found.set(pid, { ...found.get(pid), [share]: holder });
    }
  }
  return found;
}

const NAMES: Readonly<Record<Share, string>> = {
  memory: "memory",
  files: "open files",
  filesystem: "working directory",
  signalActions: "signal actions",
  semaphoreUndo: "semaphore adjustments",
  io: "I/O context",
};

/** Sharing that no order of clones brings about again. */
export function refuseUnplannable(
  processes: readonly (ProcessIdentity & { readonly command: string })[],
  refuse: (refusal: Refusal) => void,
): void {
  if (!processes.some(({ shares }) => shares)) return;
  for (const step of planClones(processes, 0, (sid) => readStat(sid) !== undefined)) {
    if (step.kind !== "unplaceable" || step.missing === "session") continue;
    const { pid, command, shares } = processes.find(
      (process) => process.pid === step.pid,
    ) as (typeof processes)[number];
    refuse(failures.SHARED_TANGLED({ pid, command, shared: NAMES[step.missing], other: shares?.[step.missing] }));
  }
}
