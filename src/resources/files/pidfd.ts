/** pidfd_open(2): a process that is held by a descriptor. */
import * as v from "valibot";
import { call } from "../../abi/call.ts";
import { O } from "../../abi/fcntl.ts";
import { SIGNAL } from "../../abi/signal.ts";
import { WAIT, wait4 } from "../../abi/wait.ts";
import { attempt } from "../../abi/call.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { Refusal } from "../../lib/errors.ts";
import { fdInfoValue } from "../../proc/fdinfo.ts";
import { readStat } from "../../proc/read.ts";
import { spawnBlank } from "../../tracee/blank.x86_64.ts";
import type { FileKind, OpenFile, ThawContext } from "../contract.ts";

/** Include/uapi/linux/pidfd.h: the pidfd is of a thread. */
const PIDFD_THREAD = O.O_EXCL;

const schema = v.strictObject({
  /** Absent when the process has ended and was waited for. */
  process: v.optional(v.number()),
});
type PidFdState = v.InferOutput<typeof schema>;

export const pidFd: FileKind<PidFdState> = {
  name: "pidfd",
  schema,
  recognise: (file) => file.link === "anon_inode:[pidfd]" || file.link.startsWith("pidfd:["),
  freeze(file) {
    const pid = Number(fdInfoValue(file.info, "Pid") ?? "-1");
    if (pid === -1) return {};
    if (!file.context.pids.has(pid)) throw outside(file, pid);
    return { process: pid };
  },
  thaw(state, context, flags) {
    if (state.process === undefined) return context.keep(openEnded(context));
    const about = `Opening process ${state.process}`;
    return context.keep(call("pidfd_open", about, state.process, flags & PIDFD_THREAD) as LocalFd);
  },
};

/** A pidfd of a process that has ended: one of ours, which ends for it. */
function openEnded(context: ThawContext): LocalFd {
  const pid = spawnBlank(0x1000_0000);
  const end = (): void => {
    attempt("kill", pid, SIGNAL.SIGKILL);
    while (typeof wait4(pid, WAIT.WALL) === "object");
  };
  try {
    return context.keep(call("pidfd_open", "Opening a process that has ended", pid, 0) as LocalFd);
  } finally {
    end();
  }
}

function outside(file: OpenFile, pid: number): Refusal {
  return new Refusal(
    "PIDFD_OUTSIDE",
    {
      what: `Process ${file.pid} (${file.command}) holds a process that is not frozen with it.`,
      why: `Descriptor ${file.fd} is a pidfd of ${pid > 0 ? `${pid} (${readStat(pid)?.comm ?? "?"})` : "a process in another pid namespace"}.`,
      remedy: pid > 0 ? `Freeze ${pid} together with ${file.pid}.` : "Let the program close it first.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, resource: "pidfd" },
  );
}
