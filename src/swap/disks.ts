/** File systems of disks at the end of a kernel: synced, and read-only, so that the next one finds them as after an unmount. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { parseMountInfo } from "../proc/mountinfo.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";

/** How long the kernel may take to remount all of them, in milliseconds. */
const LONGEST_WAIT_MS = 15_000;
const PAUSE_US = 5000;

/** The mount points of file systems on block devices that can be written to; one for each file system. */
export function writableDisks(): string[] {
  const seen = new Map<string, string>();
  for (const { device, mountPoint, source, superOptions } of parseMountInfo(
    readFileSync("/proc/self/mountinfo", "utf8"),
  ))
    if (source.startsWith("/dev/") && superOptions.includes("rw") && !seen.has(device)) seen.set(device, mountPoint);
  return [...seen.values()];
}

/**
 * Syncs all file systems of block devices and makes them read-only, though files on them are open for writing: the
 * emergency remount of Documentation/admin-guide/sysrq.rst (`u`), which systemd's own shutdown uses too. What does not
 * become read-only in time has been synced all the same. Never in a container: the disks are the host's.
 */
export function makeDisksReadOnly(): void {
  writeFileSync("/proc/sysrq-trigger", "u");
  const end = Date.now() + LONGEST_WAIT_MS;
  while (writableDisks().length > 0 && Date.now() < end) sleepMicroseconds(PAUSE_US);
}

/** Makes file systems writable again, when the kernel was not left after all. */
export function makeDisksWritable(mountPoints: readonly string[]): void {
  for (const point of mountPoints) spawnSync("mount", ["-o", "remount,rw", point], { stdio: "inherit" });
}
