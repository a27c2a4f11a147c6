/**
 * Where nothing outlives a boot: file systems in memory (tmpfs(5), ramfs, hugetlbfs), /run, and the folders of
 * PrivateTmp= (systemd.exec(5)), which systemd-tmpfiles(8) removes at the next boot wherever they lie.
 */
import { closeSync } from "node:fs";
import { O } from "../../abi/fcntl.ts";
import { lstatSync, statSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { bootId } from "../../sys/file-identity.ts";
import { HUGETLBFS_MAGIC, RAMFS_MAGIC, TMPFS_MAGIC } from "../../abi/stat.ts";
import { fileSystemOf } from "../../sys/stat.ts";
import { openPath } from "../file/path-file.ts";

const IN_MEMORY = new Set([TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC]);
/** The boot's id stands in their names. */
const PRIVATE_TMP = /^(\/(?:var\/)?tmp\/systemd-private-)[0-9a-f]{32}(?=-)/;
/** What the kernel, udev(7) and systemd(1) make at every boot: whatever stands there by then is what there is. */
const MADE_AT_BOOT =
  /^\/dev\/(?!(?:shm|hugepages|mqueue)\/)|^\/run\/(?:systemd|udev|mount|log|dbus)\/|^\/run\/(?:utmp|initctl)$/;

/** Whether what stands at a path that exists is gone after a boot. */
export function isVolatile(path: string): boolean {
  // Of /run, file-hierarchy(7) says that it is flushed at boot, and services empty it when they stop.
  if (PRIVATE_TMP.test(path) || path.startsWith("/run/")) return true;
  // A machine that lives in memory as a whole is made again as a whole, or not.
  if (lstatSync(OWN_VIEW.at(path)).dev === statSync(OWN_VIEW.at("/")).dev) return false;
  const fd = openPath(OWN_VIEW.at(path), O.O_PATH | O.O_NOFOLLOW);
  try {
    return IN_MEMORY.has(fileSystemOf(fd) ?? 0);
  } finally {
    closeSync(fd);
  }
}

export function isMadeAtBoot(path: string): boolean {
  return MADE_AT_BOOT.test(path);
}

/** Folders whose files others tidy away, though they lie on a disk (systemd-tmpfiles(8), hsperfdata of Java). */
export function isTemporary(path: string): boolean {
  return /^\/(?:var\/)?tmp\/./.test(path);
}

/** The path, with the id of this boot where that of another stands in the name of a folder of PrivateTmp=. */
export function ofThisBoot(path: string): string {
  return path.replace(PRIVATE_TMP, (_, before: string) => before + bootId().replaceAll("-", ""));
}

/** Of what is on a file system in memory. */
export const IN_MEMORY_INODE = "inode numbers and st_ctim of what lay in memory (tmpfs(5)) and has to be made again";
