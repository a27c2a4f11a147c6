/** Work inside traced processes. */
import { failed, type Numbers, type Texts } from "../entry.ts";

export const tracee = {
  TRACEE_MEMORY: {
    gone: failed(({ pid }: Numbers<"pid">) => ({ what: `Process ${pid} is gone.` })),
    access: failed(
      ({
        pid,
        doing,
        length,
        address,
        errno,
      }: Texts<"doing" | "address"> & Numbers<"pid" | "length"> & { readonly errno?: string | undefined }) => ({
        what: `The memory of process ${pid} could not be used.`,
        why: `${doing} ${length} bytes at ${address} failed with ${errno}.`,
        facts: { pid, address },
      }),
    ),
  },
  BLANK_FAILED: {
    notMade: failed(() => ({ what: "No new process could be made." })),
    notStarted: failed(({ command }: Texts<"command">) => ({
      what: "A blank process could not be started.",
      why: `Its program did not run or could not be traced (${command}).`,
      remedy: "Check that /proc/sys/vm/memfd_noexec is not 2 and that /proc/sys/kernel/yama/ptrace_scope is below 3.",
    })),
  },
  END_FAILED: failed(() => ({
    what: "The frozen processes could not be ended.",
    why: "The small program that ends them did not run.",
    remedy: "End them by hand before the thaw.",
  })),
  NOT_RELEASED: failed(({ why }: Texts<"why">) => ({
    what: "The processes were not let go on; none is left running, and the image is as it was.",
    why,
    remedy: "Thaw again; see that /var/lib/kmonte can be written to.",
  })),
  MQ_UNSEEN: failed(({ count }: Numbers<"count">) => ({
    what: "A message queue could not be looked into.",
    why: `The small program that takes its ${count} messages and puts them back did not run to its end.`,
    remedy: "Try again; if it stays so, let the program receive them first (mq_receive(3)).",
  })),
  NO_STACK: failed(({ tid }: Numbers<"tid">) => ({
    what: `Process ${tid} has no stack mapping to work on.`,
    facts: { pid: tid },
  })),

  TRACEE_GONE: failed(({ tid }: Numbers<"tid">) => ({
    what: `Task ${tid} ended while kmonte held it.`,
    why: "Something outside killed it.",
    remedy: "Run the command again for the processes that are left.",
    facts: { tid },
  })),
};
