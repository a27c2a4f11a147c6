/** Who on the machine has a pipe, a FIFO or a terminal open: one walk through /proc. */
import { readFileSync } from "node:fs";
import { O_ACCMODE } from "../abi/fcntl.ts";
import { stat } from "../sys/stat.ts";
import { parseFdInfo } from "./fdinfo.ts";
import { descriptorsOf, linkOf, readdirOrEmpty, readStat } from "./read.ts";
import type { Task } from "../lib/brand.ts";
import { procPath } from "../sys/task.ts";
import { orIfGone } from "../lib/no-such-file.ts";

export interface Holder {
  readonly pid: number;
  readonly task: Task;
  readonly command: string;
  readonly fd: number;
  /** O_RDONLY, O_WRONLY or O_RDWR. */
  readonly access: number;
  /** `device:inode`: the same path may lead elsewhere in another mount namespace. */
  readonly file: string;
}

/** A descriptor that leads to what was wanted; who asks for it looks at it closer. */
export interface Held {
  readonly pid: number;
  /** The thread of it that was asked ({@link descriptorsOf}). */
  readonly task: Task;
  readonly fd: number;
}

/** All holders, by what /proc/PID/fd/N says; `wanted` chooses the links, `skip` the processes to leave out. */
export function findHolders(wanted: (link: string) => boolean, skip: (pid: number) => boolean): Map<string, Held[]> {
  const holders = new Map<string, Held[]>();
  for (const name of readdirOrEmpty("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || skip(pid)) continue;
    const { task, fds } = descriptorsOf(pid);
    for (const fd of fds) {
      const link = linkOf(procPath(task, `fd/${fd}`));
      if (link === undefined || !wanted(link)) continue;
      const held = { pid, task, fd: Number(fd) };
      const known = holders.get(link);
      if (known) known.push(held);
      else holders.set(link, [held]);
    }
  }
  return holders;
}

/** Undefined when it has been closed meanwhile. */
export function lookAtHolder({ pid, task, fd }: Held): Holder | undefined {
  const file = fileOf(task, fd);
  return file === undefined
    ? undefined
    : { pid, task, command: readStat(pid)?.comm ?? "?", fd, access: accessOf(task, fd), file };
}

function fileOf(task: Task, fd: number): string | undefined {
  return orIfGone(() => {
    const { device, inode } = stat(procPath(task, `fd/${fd}`));
    return `${device}:${inode}`;
  }, undefined);
}

function accessOf(task: Task, fd: number): number {
  return orIfGone(() => parseFdInfo(readFileSync(procPath(task, `fdinfo/${fd}`), "utf8")).flags & O_ACCMODE, 0);
}
