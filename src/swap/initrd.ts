/** The initramfs for the new kernel: its own, with a few lines of ours for its first moment. */
import { readFileSync } from "node:fs";
import { cpioArchive, type CpioEntry } from "./cpio.ts";

/** Said on the kernel's log when user space begins, so that the timeline can tell the kernel's part from the rest. */
export const USERLAND_MARK = "kmonte: user space begins";

const DIRECTORY = 0o040755;
const REGULAR_FILE = 0o100644;

/**
 * Debian's initramfs-tools reads every file in conf/conf.d as shell, as soon as /proc is mounted: before its hooks,
 * before udev. Other makers of initramfs ignore the file, and then the unit does the same a little later.
 */
const HOOK = "conf/conf.d/kmonte";

/**
 * The initramfs at `path` with a hook that runs these shell commands. The hook comes first, as processors' microcode
 * does: not every decompressor of the kernel bears something behind a compressed archive.
 */
export function initrdWithHook(path: string, script: string, files: readonly CpioEntry[] = []): Buffer {
  const hook = `{ echo "${USERLAND_MARK}" >/dev/kmsg\n${script}} 2>/dev/null || :\n`;
  const archive = cpioArchive([
    { path: "conf", mode: DIRECTORY, data: Buffer.alloc(0) },
    { path: "conf/conf.d", mode: DIRECTORY, data: Buffer.alloc(0) },
    { path: HOOK, mode: REGULAR_FILE, data: Buffer.from(hook) },
    ...files,
  ]);
  // Zero bytes up to a sector, as cpio(1) itself pads; they are skipped.
  const padding = Buffer.alloc((512 - (archive.length % 512)) % 512);
  return Buffer.concat([archive, padding, readFileSync(path)]);
}
