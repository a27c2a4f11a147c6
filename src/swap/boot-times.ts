/** When this boot's stages were reached, in CLOCK_REALTIME milliseconds: asked of the kernel's log and of systemd. */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import type { TimedStep } from "../lib/progress.ts";
import { USERLAND_MARK } from "./initrd.ts";
import { orIfGone } from "../lib/no-such-file.ts";

export interface BootTimes {
  /** When the kernel's clock began to count. */
  readonly kernel: number;
  /** When the initramfs began, if that was said. */
  readonly initramfs: number | undefined;
  /** When the system's own init began. */
  readonly userland: number | undefined;
  /** When this program began. */
  readonly program: number;
}

export function readBootTimes(): BootTimes {
  const kernel = Date.now() - Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
  const after = (milliseconds: number | undefined) => (milliseconds === undefined ? undefined : kernel + milliseconds);
  return {
    kernel,
    // Where nothing of ours ran in it, systemd may have, as in that of dracut.
    initramfs: after(markInLog(readKernelLog()) ?? systemdTimestamp("InitRDTimestampMonotonic")),
    userland: after(systemdTimestamp("UserspaceTimestampMonotonic")),
    program: performance.timeOrigin,
  };
}

/** The steps between leaving the old kernel (`left`) and the beginning of the thaw. */
export function bootSteps(times: BootTimes, left: number, thaw: number): TimedStep[] {
  // The new kernel takes the time of day from the machine's clock, to the second: it may be half a second early.
  const kernel = Math.max(times.kernel, left);
  const program = Math.min(Math.max(times.program, kernel), thaw);
  const initramfs = Math.max(times.initramfs ?? times.userland ?? program, kernel);
  const userland = Math.max(times.userland ?? program, initramfs);
  return [
    { step: "kexec", start: left, end: kernel },
    { step: "kernel", start: kernel, end: initramfs },
    { step: "initramfs", start: initramfs, end: userland },
    { step: "userland", start: userland, end: program },
    { step: "kmonte starts", start: program, end: thaw },
  ];
}

/** Milliseconds after the kernel's start at which our mark was put into its log. */
export function markInLog(log: string): number | undefined {
  for (const line of log.split("\n")) {
    const microseconds = /^\d+,\d+,(\d+),[^;]*;/.exec(line)?.[1];
    if (microseconds && line.endsWith(USERLAND_MARK)) return Number(microseconds) / 1000;
  }
  return undefined;
}

/** In milliseconds; systemd has 0 for what there was not. */
function systemdTimestamp(property: string): number | undefined {
  const shown = spawnSync("systemctl", ["show", "--value", "-p", property], { encoding: "utf8" });
  const microseconds = Number(shown.stdout?.trim());
  return microseconds > 0 ? microseconds / 1000 : undefined;
}

/** All of /dev/kmsg: one read, one record. Containers have none, or may not read it. */
function readKernelLog(): string {
  let text = "";
  const record = Buffer.alloc(8192);
  const file = orIfGone(() => openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK), undefined);
  if (file === undefined) return text;
  try {
    for (;;) text += record.toString("latin1", 0, readSync(file, record));
  } catch {
    // EAGAIN: that was the last one.
  } finally {
    closeSync(file);
  }
  return text;
}
