/**
 * PTRACE_SEIZE while another thread of the process is in execve(2) waits until that is over, and execve waits until all
 * other threads have ended and been waited for. Those of them that kmonte traces already nobody but kmonte can wait
 * for, and the thread that traces them sleeps in PTRACE_SEIZE: both would for ever. But any thread of a tracer's process
 * may wait for its tracees (__WNOTHREAD in wait(2)), so another one does.
 */
import { WAIT } from "../abi/wait.ts";
import type { SeizeGuard } from "../lib/engine-thread.ts";
import { readdirOrEmpty, readStat } from "../proc/read.ts";
import { wait4 } from "../sys/wait.ts";

/** Seizing takes microseconds: what is still about to be done a look later waits for something. */
const LOOK_MS = 50;

export const guardSeizing: SeizeGuard = (seizing) => {
  let before = 0;
  const timer = setInterval(() => {
    const now = seizing();
    if (now !== 0 && now === before) reapEndedThreads(now);
    before = now;
  }, LOOK_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
};

/**
 * Waits for the ended threads of a process, of those that kmonte traces; not for its first: that is its parent's, who
 * may be us as well. An execve(2) of the process then goes on.
 */
export function reapEndedThreads(pid: number): void {
  for (const name of readdirOrEmpty(`/proc/${pid}/task`)) {
    const tid = Number(name);
    if (tid !== pid && readStat(tid)?.state === "Z") wait4(tid, WAIT.WALL | WAIT.WNOHANG);
  }
}
