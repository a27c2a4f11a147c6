/**
 * Tasks in /proc/PID/task that are no threads of the program: workers that the kernel runs in its name, for io_uring
 * (since 5.12) and vhost (since 6.4). They never return to user mode, so nobody stops them (PF_* of
 * include/linux/sched.h, which proc_pid_stat(5) shows).
 */
import { PF } from "../abi/task-flags.ts";
import { readFileSync } from "node:fs";
import { orIfGone } from "../lib/no-such-file.ts";
import { readStat } from "./read.ts";
import { parseStatus } from "./status.ts";

/** All but SIGKILL and SIGSTOP, the two that a worker listens to. */
const ALL_BLOCKED = "fffffffffffbfeff";

export function isKernelWorker(tid: number): boolean {
  const flags = readStat(tid)?.flags ?? 0;
  if ((flags & PF.PF_IO_WORKER) !== 0) return true;
  if ((flags & PF.PF_USER_WORKER) === 0) return false;
  const status = orIfGone(() => readFileSync(`/proc/${tid}/status`, "utf8"), "");
  return parseStatus(status).get("SigBlk") === ALL_BLOCKED;
}
