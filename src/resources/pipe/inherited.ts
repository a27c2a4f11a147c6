/**
 * Descriptors that a program merely inherited. A shell or a supervisor keeps a pipe open for itself, forgets to mark it
 * close-on-exec, and all that it starts has it too: under the very same number, the very same open file description.
 * Whoever means to talk through a pipe closes the other's end. Such a descriptor comes back from the process that still
 * has it; when that is gone as well, what is left is a pipe without another end, as anyone's would be.
 */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { bootId } from "../../sys/file-identity.ts";
import { compareTasks, procPath, tryOpenTask } from "../../sys/task.ts";
import { attempt } from "../../sys/call.ts";
import { F, KCMP, O_ACCMODE } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { findTask, linkOf, readStat } from "../../proc/read.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { holdersOutside } from "./outside.ts";
import { makePipe } from "./data.ts";

/** Standard input, output and error are meant. */
const FIRST_UNMEANT = 3;

export const inheritedSchema = v.strictObject({
  /** What /proc shows: `pipe:[inode]`. */
  link: v.string(),
  fd: v.number(),
  bootId: v.string(),
  /** Processes that have it too, oldest first, with their start in clock ticks since boot. */
  processes: v.array(v.strictObject({ pid: v.number(), command: v.string(), startTime: v.number() })),
});
export type Inherited = v.InferOutput<typeof inheritedSchema>;

/** Tells who else has this very description under this very number, or undefined when no one outside the set does. */
export function findInherited(file: OpenFile): Inherited | undefined {
  if (file.fd < FIRST_UNMEANT) return undefined;
  const from = holdersOutside(file)
    .filter(({ task, fd }) => fd === file.fd && compareTasks(file.task, task, KCMP.FILE, fd, fd) === 0)
    .map(({ pid, command }) => ({ pid, command, startTime: readStat(pid)?.startTime ?? 0 }))
    .toSorted((a, b) => a.startTime - b.startTime);
  return from.length === 0 ? undefined : { link: file.link, fd: file.fd, bootId: bootId(), processes: from };
}

/** Fetches it from a process that still has it, or makes an end that leads nowhere. */
export function thawInherited(state: Inherited, context: ThawContext, flags: number): LocalFd {
  const fetched = state.bootId === bootId() ? fetch(state, flags) : undefined;
  if (fetched !== undefined) return context.keep(fetched);
  context.note(
    `A pipe that the processes inherited as descriptor ${state.fd} has no other end any more: ${state.processes.map(({ pid, command }) => `${command} (${pid})`).join(", ")} had it.`,
  );
  const [read, write] = makePipe(0);
  const [ours, other] = (flags & O_ACCMODE) === 0 ? [read, write] : [write, read];
  closeSync(other);
  return context.keep(ours);
}

function fetch({ processes: from, link, fd }: Inherited, flags: number): LocalFd | undefined {
  for (const { pid, startTime } of from) {
    const task = findTask(pid);
    if (readStat(pid)?.startTime !== startTime || linkOf(procPath(task, `fd/${fd}`)) !== link) continue;
    const pidfd = tryOpenTask(task);
    if (pidfd < 0) continue;
    const fetched = attempt("pidfd_getfd", pidfd, fd, 0);
    closeSync(pidfd);
    if (fetched < 0) continue;
    // The other end may have the number by now.
    if (((attempt("fcntl", fetched, F.F_GETFL, 0) ^ flags) & O_ACCMODE) === 0) return fetched as LocalFd;
    closeSync(fetched);
  }
  return undefined;
}
