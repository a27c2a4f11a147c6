/**
 * The journal's files at the end of a kernel. journald lives on up to the last moment, and the next boot takes a file that
 * is still open for corrupted and puts it aside. So it is asked to close those on disk and to write to /run, as at any
 * shutdown (systemd-journal-flush.service).
 */
import { spawnSync } from "node:child_process";

/** How long journald may take, in milliseconds; what it does not close in time, the next boot puts aside. */
const LONGEST_MS = 5_000;

/** What is logged from here on is lost with the kernel. Does nothing where the journal is not kept on disk. */
export function closeJournal(): void {
  journalctl("--relinquish-var");
}

/** Has journald write to disk again, and what it has kept in /run since. */
export function openJournal(): void {
  journalctl(OPEN_JOURNAL);
}

/** The argument of journalctl(1) that does what {@link openJournal} does. */
export const OPEN_JOURNAL = "--flush";

function journalctl(request: string): void {
  spawnSync("journalctl", [request], { stdio: "ignore", timeout: LONGEST_MS });
}
