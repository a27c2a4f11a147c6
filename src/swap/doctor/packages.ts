/** Whether the packages are in order: a kernel that is half installed, or just being installed, is none to start. */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { type Finding, unknown } from "./finding.ts";
import type { Machine } from "./machine.ts";

const DPKG = "/var/lib/dpkg";
/** Held by dpkg(1) and by who is about to run it (apt, unattended-upgrades). */
const LOCKS = [`${DPKG}/lock-frontend`, `${DPKG}/lock`];

/** States of a package (dpkg(1)) that need nothing to be done. */
const SETTLED = new Set(["installed", "config-files", "not-installed", "triggers-awaited", "triggers-pending"]);

/** As many names as a person reads. */
const SHOWN = 5;

export function lookAtPackages(machine: Machine): Finding[] {
  if (!machine.has(`${DPKG}/status`)) return [];
  // What is half configured while dpkg works will be whole.
  const busy = lookAtLocks(machine);
  return busy.length > 0 ? busy : lookAtStates(machine);
}

function lookAtLocks(machine: Machine): Refusal[] {
  const locks = machine.text("/proc/locks");
  for (const path of LOCKS) {
    const file = orIfGone(() => statSync(machine.at(path)), undefined);
    const pid = file && holderOf(locks, file);
    if (pid === undefined) continue;
    const command = machine.text(`/proc/${pid}/comm`) || "?";
    return [failures.PACKAGES_BUSY({ command, pid, path })];
  }
  return [];
}

/** Who has locked a file with fcntl(2), going by /proc/locks (proc_locks(5)). Pure. */
export function holderOf(locks: string, file: { readonly dev: number; readonly ino: number }): number | undefined {
  // Of a file system with devices of its own invention (btrfs), stat(2) and the kernel's list name different ones.
  const [major, minor] = [(file.dev >> 8) & 0xfff, (file.dev & 0xff) | ((file.dev >> 12) & 0xfff00)];
  for (const [, pid, itsMajor = "", itsMinor = "", inode] of locks.matchAll(LOCK)) {
    const isSame = Number.parseInt(itsMajor, 16) === major && Number.parseInt(itsMinor, 16) === minor;
    if (Number(inode) === file.ino && (isSame || major === 0)) return Number(pid);
  }
  return undefined;
}

const LOCK = /\bPOSIX +\S+ +WRITE (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /g;

function lookAtStates(machine: Machine): Finding[] {
  const args = [`--admindir=${machine.at(DPKG)}`, "--show", "--showformat=${binary:Package} ${db:Status-Status}\\n"];
  const run = spawnSync("dpkg-query", args, {
    encoding: "utf8",
    maxBuffer: 64 << 20,
    env: { ...process.env, LC_ALL: "C" },
  });
  if (run.status !== 0) return [unknown("The state of the packages", run.error ?? run.stderr.trim())];
  const unfinished = run.stdout
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([name, state]) => name && !SETTLED.has(state ?? ""));
  if (unfinished.length === 0) return [];
  const names = unfinished.slice(0, SHOWN).map(([name, state]) => `${name} (${state})`);
  const more = unfinished.length > SHOWN ? ` and ${unfinished.length - SHOWN} more` : "";
  return [failures.PACKAGES_UNFINISHED({ names: names.join(", "), more })];
}
