/** pidfd_open(2): a process that is held by a descriptor. */
import * as v from "valibot";
import { existsSync } from "../../sys/files.ts";
import { call } from "../../sys/call.ts";
import { PIDFD_THREAD } from "../../sys/task.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { fdInfoValue } from "../../proc/fdinfo.ts";
import { readStat } from "../../proc/read.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileKind } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  /** Absent when the process has ended and was waited for; … */
  process: v.optional(v.number()),
  /** … it was of the pid namespace that this one lives in. */
  namespaceMember: v.optional(v.number()),
  /** A thread of the process (PIDFD_THREAD). */
  thread: v.optional(v.literal(true)),
});
type PidFdState = v.InferOutput<typeof schema>;

const INIT = 1;

export const pidFd: FileKind<PidFdState, "pidfd"> = {
  name: "pidfd",
  schema,
  forUser: ofAnyUser,
  recognise: (file) => file.link === "anon_inode:[pidfd]" || file.link.startsWith("pidfd:["),
  freeze(file) {
    const pid = Number(fdInfoValue(file.info, "Pid") ?? "-1");
    if (pid === -1) return { namespaceMember: file.pid };
    const thread = (file.info.flags & PIDFD_THREAD) !== 0;
    if (thread && leaderOf(file, pid) !== undefined) return { process: pid, thread };
    // Every boot has an init, and whoever holds it means that: systemd-nspawn does.
    if (pid !== INIT && !file.context.pids.has(pid)) throw outside(file, pid);
    return { process: pid };
  },
  // Main threads stand as soon as their processes do.
  needsThreads: ({ thread, process }) => thread === true && process !== undefined,
  thaw(state, context, flags) {
    if (state.process === undefined) return openEnded(state, context);
    const about = `Opening process ${state.process}`;
    return context.keep(call("pidfd_open", about, state.process, flags & PIDFD_THREAD) as LocalFd);
  },
};

/** A pidfd of a process that has ended: one that ends for it, seen from where the old one was. */
function openEnded({ namespaceMember: holder }: PidFdState, context: ThawContext): LocalFd {
  return context.standIn(holder ?? 0, undefined, (pid) =>
    context.keep(call("pidfd_open", "Opening a process that has ended", pid, 0) as LocalFd),
  );
}

/** The process of the set that has this thread, which is not its main one. */
function leaderOf(file: OpenFile, tid: number): number | undefined {
  return [...file.context.pids].find((pid) => pid !== tid && existsSync(`/proc/${pid}/task/${tid}`));
}

function outside(file: OpenFile, pid: number): Refusal {
  if (pid <= 0) return failures.PIDFD_OUTSIDE.unnamed({ file });
  return failures.PIDFD_OUTSIDE.named({ file, other: pid, otherCommand: readStat(pid)?.comm ?? "?" });
}
