/**
 * Asking about a process through one of its threads. Where the first thread of a process has ended while others go on
 * (pthread_exit(3) in main), the process's own folder in /proc(5) tells nothing of memory, files and namespaces, and
 * pidfds and kcmp(2) of it lead nowhere. Its other threads have folders of the same kind, and see the same.
 */
import { closeSync } from "node:fs";
import { ERRNO } from "../abi/errno.ts";
import { O } from "../abi/fcntl.ts";
import type { Pid, Task } from "../lib/brand.ts";
import type { ProcPath } from "./mount-view.ts";
import { attempt, SyscallError } from "./call.ts";

/** include/uapi/linux/pidfd.h, since 6.9: the pidfd is of a thread. */
export const PIDFD_THREAD = O.O_EXCL;

/** A thread that is known to live: we have stopped it, made it, or are it. Of others, `findTask` finds one that does. */
export function livingThread(tid: Pid): Task {
  return tid as Task;
}

/** Our own process, whose first thread never goes anywhere; "thread-self" is the thread that we are. */
export type Ourselves = "self" | "thread-self";

/** A path in /proc of what is told of a living thread only: `fd/3`, `maps`, `ns/net` … */
export function procPath(task: Task | Ourselves, name: string): ProcPath {
  return `/proc/${task}/${name}`;
}

/** pidfd_open(2), to duplicate descriptors through. */
export function openTask(task: Task): number {
  const pidfd = tryOpenTask(task);
  if (pidfd < 0) throw new SyscallError("pidfd_open", pidfd, `Opening process ${task}`, task);
  return pidfd;
}

/** The same, with the negated errno of a failure. */
export function tryOpenTask(task: Task): number {
  const pidfd = attempt("pidfd_open", task, 0);
  // It is not the first thread of its process. Newer kernels answer ENOENT.
  const isOther = pidfd === -ERRNO.EINVAL || pidfd === -ERRNO.ENOENT;
  return isOther ? attempt("pidfd_open", task, PIDFD_THREAD) : pidfd;
}

/** Whether this kernel lets descriptors of a thread be duplicated. */
export function canOpenThread(tid: Pid): boolean {
  const pidfd = attempt("pidfd_open", tid, PIDFD_THREAD);
  if (pidfd >= 0) closeSync(pidfd);
  return pidfd >= 0;
}

/** kcmp(2): 0 for the same, 1 for less, 2 for greater, 3 for neither, or a negated errno. */
export function compareTasks(one: Task, other: Task, type: number, first = 0, second = 0): number {
  return attempt("kcmp", one, other, type, first, second);
}
