/**
 * The kernel that runs, as uname(2) tells it. Not from node:os, which notes that when it is loaded: in a start-up snapshot
 * (scripts/snapshot.ts) it is the kernel of another machine.
 */
import { readFileSync } from "node:fs";

/** Such as 6.12.117+deb13-amd64. */
export function kernelRelease(): string {
  return readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
}

/** Its number, date and kind, such as `#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-02)`. */
export function kernelVersion(): string {
  return readFileSync("/proc/sys/kernel/version", "utf8").trim();
}
