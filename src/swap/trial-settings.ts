/** What is set for the new kernel's first boot alone, so that its failures end in a restart and not in a standstill. */
import { existsSync, readFileSync } from "node:fs";

/** Seconds between a panic and the restart: enough to be read on a console. */
const PANIC_SECONDS = 10;

/** The settings of kernel(5) under /proc/sys/kernel that the words below change. */
const SETTINGS = ["panic", "panic_on_oops"];

/**
 * The command line of a kernel that is being tried. `panic=` also keeps Debian's initramfs from waiting at a shell when
 * it does not find its disk. What the user adds comes last: of two the last one counts.
 */
export function trialCommandLine(inherited: string, append = ""): string {
  const panic = /(^|\s)panic=/.test(inherited) ? "" : `panic=${PANIC_SECONDS}`;
  return [inherited, panic, "oops=panic", append].filter(Boolean).join(" ");
}

/** Their present values, which a kernel that has proved itself gets back. */
export function changedSettings(): Record<string, string> {
  const paths = SETTINGS.map((name) => [name, `/proc/sys/kernel/${name}`] as const);
  return Object.fromEntries(
    paths.filter(([, path]) => existsSync(path)).map(([name, path]) => [name, readFileSync(path, "utf8").trim()]),
  );
}
