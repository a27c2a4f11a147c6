/** What is set for the new kernel's first boot alone, so that its failures end in a restart and not in a standstill. */
import { existsSync, readFileSync } from "node:fs";

/** Seconds between a panic and the restart: enough to be read on a console. */
const PANIC_SECONDS = 10;

/** The settings of kernel(5) under /proc/sys/kernel that the words below change. */
const SETTINGS = ["panic", "panic_on_oops"];

/**
 * `panic=` also keeps an initramfs of initramfs-tools from waiting at a shell when it does not find its disk; the last two
 * do the same for one of dracut's, when it gives up (dracut.cmdline(7)): some wait for a disk until the watchdog ends it.
 */
const WORDS = [`panic=${PANIC_SECONDS}`, "oops=panic", "rd.shell=0", "rd.emergency=reboot"];

/**
 * The command line of a kernel that is being tried: what is set there already stays as it is. What the user adds comes
 * last: of two the last one counts.
 */
export function trialCommandLine(inherited: string, append = ""): string {
  const isSet = new Set(inherited.split(/\s+/).map(nameOf));
  return [inherited, ...WORDS.filter((word) => !isSet.has(nameOf(word))), append].filter(Boolean).join(" ");
}

function nameOf(word: string): string {
  return word.replace(/=.*/, "");
}

/** Their present values, which a kernel that has proved itself gets back. */
export function changedSettings(): Record<string, string> {
  const paths = SETTINGS.map((name) => [name, `/proc/sys/kernel/${name}`] as const);
  return Object.fromEntries(
    paths.filter(([, path]) => existsSync(path)).map(([name, path]) => [name, readFileSync(path, "utf8").trim()]),
  );
}
