/**
 * Processes whose first thread has ended while others go on (pthread_exit(3) in main): the folder of such a process in
 * /proc(5) tells nothing of memory, files and namespaces, and pidfds and kcmp(2) of it lead nowhere. Its other threads
 * have folders of the same kind, and see the same.
 */
import { closeSync } from "node:fs";
import { O } from "../abi/fcntl.ts";
import { attempt, call } from "./call.ts";

/** include/uapi/linux/pidfd.h, since 6.9: the pidfd is of a thread. */
export const PIDFD_THREAD = O.O_EXCL;

const living = new Map<number, number>();

/** From now on {@link taskOf} leads to a thread of the process that lives; undefined ends that. */
export function seeThrough(pid: number, tid: number | undefined): void {
  if (tid === undefined || tid === pid) living.delete(pid);
  else living.set(pid, tid);
}

/** The task to ask for what a process has: itself, as a rule. */
export function taskOf(pid: number): number {
  return living.get(pid) ?? pid;
}

/** pidfd_open(2) of {@link taskOf}, to duplicate descriptors through. */
export function openTask(pid: number): number {
  const task = taskOf(pid);
  return call("pidfd_open", `Opening process ${pid}`, task, task === pid ? 0 : PIDFD_THREAD);
}

/** Whether this kernel lets descriptors of a thread be duplicated. */
export function canOpenThread(tid: number): boolean {
  const pidfd = attempt("pidfd_open", tid, PIDFD_THREAD);
  if (pidfd >= 0) closeSync(pidfd);
  return pidfd >= 0;
}
