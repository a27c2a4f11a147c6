/**
 * Some things stand in the way for a moment only: a server is about to accept a connection, a program to read what was
 * typed. The processes go on, and are looked at again.
 */
import type { KmonteError } from "../../lib/errors.ts";

/** In milliseconds, before each further look. Longer each time: whoever is in the way may be slow on a busy machine. */
const PAUSES = [10, 50, 150, 500] as const;

const PASSING: ReadonlySet<string> = new Set([
  "FANOTIFY_EVENTS",
  "INOTIFY_EVENTS",
  "IO_URING",
  "NETLINK_QUEUE",
  "PACKETS_CAUGHT",
  "PTY_DATA",
  "RAW_PACKETS",
  "RESTLESS",
  "TCP_PENDING_CONNECTIONS",
  "TCP_PENDING_DATA",
  "TCP_RESTLESS",
  "TCP_STATE",
  "TCP_URGENT",
  "UDP_CORK",
  "UNIX_PENDING_DATA",
  "UNIX_SENDER_GONE",
  "UNKNOWN_SLEEP",
]);

/** How long to wait before another look; undefined when that would be in vain. */
export function pauseAfter(refusals: readonly KmonteError[], tries: number): number | undefined {
  return refusals.every(({ code }) => PASSING.has(code)) ? PAUSES[tries] : undefined;
}
