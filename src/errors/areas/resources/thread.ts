/** Threads and their registers. */
import { failed, refused, refusedForNow, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";

/** `has` completes "Thread … has …". */
const wentItsOwnWay = refused(
  ({ process, tid, has }: { readonly process: NamedProcess } & Numbers<"tid"> & Texts<"has">) => ({
    what: `Process ${process.pid} (${process.command}) has a thread that went its own way.`,
    why: `Thread ${tid} has ${has} (unshare(2), setns(2)).`,
    remedy: "Leave this process out.",
    facts: { pid: process.pid, tid, command: process.command },
  }),
);

export const thread = {
  DOES_NOT_END: failed(({ pid }: Numbers<"pid">) => ({ what: `The first thread of process ${pid} does not end.` })),
  CPU_FEATURE: {
    vectorState: refused(({ tid }: Numbers<"tid">) => ({
      what: "This processor cannot run the processes.",
      why: `It has no room for the vector state of thread ${tid}.`,
      remedy: "Thaw on a machine whose processor is like the old one.",
    })),
    missing: refused(({ missing }: Texts<"missing">) => ({
      what: "This processor cannot run the processes.",
      why: `It lacks ${missing}.`,
      remedy: "Thaw on a machine whose processor has them, or with --other-processor if the programs do without.",
    })),
    inUse: refused(({ pid, command, missing, tid }: NamedProcess & Texts<"missing"> & Numbers<"tid">) => ({
      what: `Process ${pid} (${command}) cannot go on with this processor.`,
      why: `Registers of ${missing} are in use in thread ${tid}, and it has none.`,
      remedy: "Thaw on a machine whose processor has them.",
      facts: { pid, command },
    })),
  },
  UNKNOWN_SLEEP: refusedForNow(({ process, tid }: Numbers<"tid"> & { readonly process: NamedProcess }) => ({
    what: `Process ${process.pid} (${process.command}) sleeps in a way that cannot be told.`,
    why: `Thread ${tid} was interrupted before, and its registers do not tell in which system call.`,
    remedy: "Try again when the thread has woken up.",
    facts: { pid: process.pid, tid, command: process.command },
  })),
  CORE_SCHEDULING: refused(({ process, tid }: Numbers<"tid"> & { readonly process: NamedProcess }) => ({
    what: `Process ${process.pid} (${process.command}) has a core-scheduling cookie.`,
    why: `Thread ${tid} shares processor cores with chosen others only (PR_SCHED_CORE of prctl(2)).`,
    remedy: "Leave this process out, or start it without core scheduling.",
    facts: { pid: process.pid, tid, command: process.command, resource: "core-scheduling" },
  })),

  UNSHARED_THREAD: wentItsOwnWay,
  THREAD_NAMESPACE: wentItsOwnWay,
};
