/** Reading /proc for processes that may go away meanwhile: what is gone reads as nothing. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { parseStat, type ProcessStat } from "./status.ts";
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

/**
 * A thread of the process that lives, where its first one has ended (pthread_exit(3) in main): of the process itself
 * /proc says then that it has no files and no memory. Undefined where that is not so.
 */
export function threadAfterLeader(pid: number): number | undefined {
  const stat = readStat(pid);
  if (stat?.state !== "Z" || stat.threads <= 1) return undefined;
  return readdirOrEmpty(`/proc/${pid}/task`)
    .map(Number)
    .find((tid) => !/^[ZX]?$/.test(readStat(tid)?.state ?? ""));
}

/** The numbers of what a process has open, in /proc/TASK/fd. */
export function descriptorsOf(pid: number): { readonly task: number; readonly fds: readonly string[] } {
  const fds = readdirOrEmpty(`/proc/${pid}/fd`);
  const task = fds.length > 0 ? undefined : threadAfterLeader(pid);
  return task === undefined ? { task: pid, fds } : { task, fds: readdirOrEmpty(`/proc/${task}/fd`) };
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
