/** Who on the machine has a pipe, a FIFO or a terminal open: one walk through /proc. */
import { readFileSync } from "node:fs";
import { O_ACCMODE } from "../abi/fcntl.ts";
import { stat } from "../abi/stat.ts";
import { parseFdInfo } from "./fdinfo.ts";
import { linkOf, readdirOrEmpty, readStat } from "./read.ts";
import { orIfGone } from "../lib/gone.ts";

export interface Holder {
  readonly pid: number;
  readonly command: string;
  readonly fd: number;
  /** O_RDONLY, O_WRONLY or O_RDWR. */
  readonly access: number;
  /** `device:inode`: the same path may lead elsewhere in another mount namespace. */
  readonly file: string;
}

/** All holders, by what /proc/PID/fd/N says; `wanted` chooses the links, `skip` the processes to leave out. */
export function findHolders(wanted: (link: string) => boolean, skip: (pid: number) => boolean): Map<string, Holder[]> {
  const holders = new Map<string, Holder[]>();
  for (const name of readdirOrEmpty("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || skip(pid)) continue;
    for (const fd of readdirOrEmpty(`/proc/${pid}/fd`)) {
      const link = linkOf(`/proc/${pid}/fd/${fd}`);
      if (link === undefined || !wanted(link)) continue;
      const file = fileOf(pid, fd);
      if (file === undefined) continue;
      const holder = { pid, command: readStat(pid)?.comm ?? "?", fd: Number(fd), access: accessOf(pid, fd), file };
      holders.set(link, [...(holders.get(link) ?? []), holder]);
    }
  }
  return holders;
}

function fileOf(pid: number, fd: string): string | undefined {
  return orIfGone(() => {
    const { device, inode } = stat(`/proc/${pid}/fd/${fd}`);
    return `${device}:${inode}`;
  }, undefined);
}

function accessOf(pid: number, fd: string): number {
  return orIfGone(() => parseFdInfo(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8")).flags & O_ACCMODE, 0);
}
