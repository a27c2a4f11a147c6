/**
 * Finding a name for a file of which only device and inode are known: a watched file (inotify), or one whose name was
 * removed while another hard link leads to it.
 */
import { closeSync, type BigIntStats } from "node:fs";
import { dirname, join } from "node:path";
import { lstatSync, readFileSync, readdirSync, readlinkSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { O } from "../../abi/fcntl.ts";
import { type FileHandle, openHandle } from "../../sys/file-handle.ts";
import type { MountView } from "../../sys/mount-view.ts";
import { formatDevice } from "../../abi/stat.ts";
import { type FileStat, fstat } from "../../sys/stat.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";
import { isLinked } from "./contents.ts";
import { openPath } from "./path-file.ts";
import { orIfGone } from "../../lib/no-such-file.ts";

/** Names looked at before a search is given up: the processes stand still meanwhile. */
const MOST_NAMES = 100_000;

/** Opens a file by handle, with O_PATH, on any mount of the file system `device` (`major:minor`). */
export function openByHandle(
  mounts: MountView,
  task: Task | "self",
  device: string,
  handle: FileHandle,
): LocalFd | undefined {
  for (const mount of mountsOf(task)) {
    if (mount.device !== device) continue;
    const mountFd = tryOpen(mounts, mount.mountPoint);
    if (mountFd === undefined) continue;
    try {
      const fd = openHandle(mountFd, handle, O.O_PATH);
      if (fd >= 0) return fd as LocalFd;
    } finally {
      closeSync(mountFd);
    }
  }
  return undefined;
}

/** A path that leads to an open file now. The one that the kernel remembers is tried first. */
export function nameOfOpen(
  mounts: MountView,
  fd: LocalFd,
  task: Task | "self",
  hints: readonly string[],
): string | undefined {
  const seen = fstat(fd);
  const link = readlinkSync(`/proc/self/fd/${fd}`);
  return isLinked(mounts, link, seen) ? link : searchName(mounts, task, seen, [dirname(link), ...hints]);
}

/** Looks for a name of the inode around the folders of `hints` first, and then ever further up. */
export function searchName(
  mounts: MountView,
  task: Task | "self",
  seen: FileStat,
  hints: readonly string[],
): string | undefined {
  const roots = mountsOf(task).map(({ mountPoint }) => mountPoint);
  const around = [...new Set([...hints.flatMap(ancestors).toSorted((a, b) => b.length - a.length), ...roots])];
  const walked = new Set<string>();
  const itself = around.find((folder) => {
    const found = lookAt(mounts, folder);
    return found?.ino === seen.inode && formatDevice(found.dev) === seen.device;
  });
  if (itself !== undefined) return itself;
  let left = MOST_NAMES;
  for (const start of around) {
    const folders = [start];
    for (let folder = folders.shift(); folder !== undefined && left > 0; folder = folders.shift()) {
      const stats = walked.has(folder) ? undefined : lookAt(mounts, folder);
      walked.add(folder);
      if (!stats?.isDirectory() || formatDevice(stats.dev) !== seen.device) continue;
      for (const name of namesIn(mounts, folder)) {
        left -= 1;
        const path = join(folder, name);
        const found = lookAt(mounts, path);
        if (found?.dev !== stats.dev) continue;
        if (found.ino === seen.inode) return path;
        if (found.isDirectory()) folders.push(path);
      }
    }
  }
  return undefined;
}

/** A folder and all above it. */
function ancestors(folder: string): string[] {
  return folder === dirname(folder) ? [folder] : [folder, ...ancestors(dirname(folder))];
}

function mountsOf(task: Task | "self"): ReturnType<typeof parseMountInfo> {
  return parseMountInfo(readFileSync(procPath(task, "mountinfo"), "utf8"));
}

function lookAt(mounts: MountView, path: string): BigIntStats | undefined {
  return orIfGone(() => lstatSync(mounts.at(path), { bigint: true }), undefined);
}

function namesIn(mounts: MountView, folder: string): string[] {
  return orIfGone(() => readdirSync(mounts.at(folder)), []);
}

function tryOpen(mounts: MountView, path: string): LocalFd | undefined {
  return orIfGone(() => openPath(mounts.at(path), 0), undefined);
}
