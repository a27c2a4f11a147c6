/** Processes: timers, and what they share with each other. */
import { failed, refused, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";

export const processes = {
  THREAD_CLOCK_TIMER: refused(({ pid, command, timer, threads }: NamedProcess & Numbers<"timer" | "threads">) => ({
    what: `Process ${pid} (${command}) has a timer that cannot be frozen.`,
    why: `Timer ${timer} counts the CPU time of one of ${threads} threads, and the kernel does not tell of which.`,
    remedy: "Let the program use the CPU clock of its process, or of a thread by its id (pthread_getcpuclockid(3)).",
    facts: { pid, command, resource: "posix-timer" },
  })),
  TIMER_ID: failed(({ pid, timer }: Numbers<"pid" | "timer">) => ({
    what: `Process ${pid} cannot get a timer with the id ${timer}.`,
  })),
  SHARED_WITH_PROCESS: refused(
    ({
      pid,
      command,
      what,
      other,
      otherCommand,
    }: NamedProcess & Texts<"what" | "otherCommand"> & Numbers<"other">) => ({
      what: `Process ${pid} (${command}) shares its ${what} with another process.`,
      why: `Process ${other} (${otherCommand}) has the very same (clone(2), vfork(2)).`,
      remedy: `Freeze process ${other} together with it, or wait until one of them has started another program or ended.`,
      facts: { pid, command, resource: "process" },
    }),
  ),
};
