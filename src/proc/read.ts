/** Reading /proc for processes that may go away meanwhile: what is gone reads as nothing. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { parseStat, type ProcessStat } from "./status.ts";
import type { Pid, Task } from "../lib/brand.ts";
import { namespaceOf } from "../sys/namespaces.ts";
import { livingThread, procPath } from "../sys/task.ts";
import { orIfGone } from "../lib/no-such-file.ts";

/** The children of a process, of all its threads (needs CONFIG_PROC_CHILDREN, which Debian has). */
export function childrenOf(pid: number): number[] {
  return readdirOrEmpty(`/proc/${pid}/task`).flatMap((tid) => {
    const text = orIfGone(() => readFileSync(`/proc/${pid}/task/${tid}/children`, "utf8"), "");
    return text.trim().split(" ").filter(Boolean).map(Number);
  });
}

export function readdirOrEmpty(path: string): string[] {
  return orIfGone(() => readdirSync(path), []);
}

/** /proc/PID/stat, or undefined when there is no such task. */
export function readStat(pid: number): ProcessStat | undefined {
  return orIfGone(() => parseStat(readFileSync(`/proc/${pid}/stat`, "utf8")), undefined);
}

/** Whether a task has ended, or is not there any more. */
export function hasEnded(tid: number): boolean {
  return /^[ZX]?$/.test(readStat(tid)?.state ?? "");
}

/** Whether a process has ended and waits for its parent. */
export function isZombie({ state, threads }: ProcessStat): boolean {
  return state === "Z" && threads <= 1;
}

/**
 * As {@link readStat}. In the moment in which execve(2) gives its caller the id of the first thread, /proc may still
 * tell of the old one, which has ended.
 */
export function readProcessStat(pid: number): ProcessStat | undefined {
  const stat = readStat(pid);
  return stat && isZombie(stat) ? readStat(pid) : stat;
}

/**
 * A thread of the process that lives, where its first one has ended (pthread_exit(3) in main): of the process itself
 * /proc says then that it has no files and no memory. Undefined where that is not so.
 */
function threadAfterLeader(pid: Pid): Task | undefined {
  const stat = readStat(pid);
  if (stat?.state !== "Z" || stat.threads <= 1) return undefined;
  return readdirOrEmpty(`/proc/${pid}/task`)
    .map((tid) => livingThread(Number(tid)))
    .find((tid) => !hasEnded(tid));
}

/** Through which thread a process is asked that we have not stopped; one that has ended has none, and tells nothing. */
export function findTask(pid: Pid): Task {
  return threadAfterLeader(pid) ?? livingThread(pid);
}

/** Asks a process that we have not stopped: another thread only where its first one tells nothing, as one alone ended would. */
export function askOutside<T>(pid: Pid, ask: (task: Task) => T, isNothing: (told: T) => boolean): Told<T> {
  const first = livingThread(pid);
  const told = ask(first);
  const other = isNothing(told) ? threadAfterLeader(pid) : undefined;
  return other === undefined ? { task: first, told } : { task: other, told: ask(other) };
}

interface Told<T> {
  /** Who has told it. */
  readonly task: Task;
  readonly told: T;
}

/** The numbers of what a process has open, in /proc/TASK/fd. */
export function descriptorsOf(pid: Pid): { readonly task: Task; readonly fds: readonly string[] } {
  const { task, told: fds } = askOutside(
    pid,
    (one) => readdirOrEmpty(procPath(one, "fd")),
    ({ length }) => length === 0,
  );
  return { task, fds };
}

/** Where the descriptors of a process that we have not stopped lead, by their numbers. */
export function linksOf(pid: Pid): Map<number, string> {
  const { task, fds } = descriptorsOf(pid);
  return new Map(
    fds.flatMap((fd) => {
      const link = linkOf(procPath(task, `fd/${fd}`));
      return link === undefined ? [] : [[Number(fd), link] as const];
    }),
  );
}

/** A namespace of a process that we have not stopped, as {@link namespaceOf} writes it. */
export function namespaceOutside(pid: Pid, type: string): string | undefined {
  return askOutside(
    pid,
    (task) => namespaceOf(task, type),
    (name) => name === undefined,
  ).told;
}

/** Where a link of /proc leads (proc_pid_fd(5), namespaces(7)), or undefined when it is not there any more. */
export function linkOf(path: string): string | undefined {
  return orIfGone(() => readlinkSync(path), undefined);
}

/** The label of AppArmor, SELinux or another security module (proc_pid_attr(5)); empty without one. */
export function labelOf(pid: number | "self"): string {
  try {
    return readFileSync(`/proc/${pid}/attr/current`, "utf8").replace(/[\0\n]+$/, "");
  } catch {
    return "";
  }
}
