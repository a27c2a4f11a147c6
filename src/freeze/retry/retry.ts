/**
 * Some things stand in the way for a moment only: a server is about to accept a connection, a program to read what was
 * typed. The processes go on, and are looked at again.
 */
import type { KmonteError } from "../../errors/failure.ts";

/** In milliseconds, before each further look. Longer each time: whoever is in the way may be slow on a busy machine. */
const PAUSES = [10, 50, 150, 500] as const;

/** How long to wait before another look; undefined when that would be in vain. */
export function pauseAfter(refusals: readonly KmonteError[], tries: number): number | undefined {
  return refusals.every(({ transient }) => transient) ? PAUSES[tries] : undefined;
}
