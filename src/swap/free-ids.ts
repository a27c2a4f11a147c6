/**
 * Keeps the ids of the frozen free in a boot that no initramfs of ours begins (a suspend, the firmware's start of the old
 * kernel): a generator (systemd.generator(7)), which systemd runs before it starts anything, has the kernel count ids
 * from where nothing is. It lies in /etc, which every boot has; it is there only while something waits to be thawed.
 */
import { mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { orIfGone } from "../lib/no-such-file.ts";
import { syncDirectory } from "../lib/sync-directory.ts";
import type { PidRange } from "./pids.ts";

export const GENERATOR = "/etc/systemd/system-generators/kmonte-free-ids";

/**
 * Generators may see all file systems read-only, but not a proc(5) that is mounted anew. They run again with each
 * daemon-reload; that the kernel counts from there once more does no harm.
 */
function generatorText({ last, max }: PidRange): string {
  const set = `echo ${max} >"$0/sys/kernel/pid_max" && echo ${last} >"$0/sys/kernel/ns_last_pid"`;
  return `#!/bin/sh
# Written by kmonte for the next boot, which is to leave the ids of frozen processes free.
sh -c '${set}' /proc 2>/dev/null || unshare --mount sh -c 'mount -t proc proc "$0" && ${set}' /tmp
exit 0
`;
}

/** On disk when it returns. */
export function writeGenerator(range: PidRange): void {
  const directory = dirname(GENERATOR);
  mkdirSync(directory, { recursive: true });
  writeFileSync(GENERATOR, generatorText(range), { mode: 0o755, flush: true });
  syncDirectory(directory);
  syncDirectory(dirname(directory));
}

export function removeGenerator(): void {
  const directory = dirname(GENERATOR);
  rmSync(GENERATOR, { force: true });
  const isEmpty = orIfGone(() => readdirSync(directory).length === 0, false);
  if (isEmpty) rmdirSync(directory);
}
