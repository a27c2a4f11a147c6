/** Telling boots apart. */
import { readFileSync } from "node:fs";

/** The id of this boot (random(4)); a process that was thawed may live in another one than it began in. */
export function presentBoot(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
