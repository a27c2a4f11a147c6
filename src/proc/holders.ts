/** Who on the machine has a pipe, a FIFO or a terminal open: one walk through /proc. */
import { readFileSync } from "node:fs";
import { O_ACCMODE } from "../abi/fcntl.ts";
import { stat } from "../sys/stat.ts";
import { parseFdInfo } from "./fdinfo.ts";
import { linkOf, readdirOrEmpty, readStat } from "./read.ts";
import { orIfGone } from "../lib/no-such-file.ts";

export interface Holder {
  readonly pid: number;
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
  readonly fd: number;
}

/** All holders, by what /proc/PID/fd/N says; `wanted` chooses the links, `skip` the processes to leave out. */
export function findHolders(wanted: (link: string) => boolean, skip: (pid: number) => boolean): Map<string, Held[]> {
  const holders = new Map<string, Held[]>();
  for (const name of readdirOrEmpty("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || skip(pid)) continue;
    for (const fd of readdirOrEmpty(`/proc/${pid}/fd`)) {
      const link = linkOf(`/proc/${pid}/fd/${fd}`);
      if (link === undefined || !wanted(link)) continue;
      const known = holders.get(link);
      if (known) known.push({ pid, fd: Number(fd) });
      else holders.set(link, [{ pid, fd: Number(fd) }]);
    }
  }
  return holders;
}

/** Undefined when it has been closed meanwhile. */
export function lookAtHolder({ pid, fd }: Held): Holder | undefined {
  const file = fileOf(pid, fd);
  return file === undefined
    ? undefined
    : { pid, command: readStat(pid)?.comm ?? "?", fd, access: accessOf(pid, fd), file };
}

function fileOf(pid: number, fd: number): string | undefined {
  return orIfGone(() => {
    const { device, inode } = stat(`/proc/${pid}/fd/${fd}`);
    return `${device}:${inode}`;
  }, undefined);
}

function accessOf(pid: number, fd: number): number {
  return orIfGone(() => parseFdInfo(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8")).flags & O_ACCMODE, 0);
}
