/** Whether the thawed really run: an image is not removed before. */
import { hasEnded } from "../../proc/read.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";

/** A program that came back wrongly ends at once as a rule: it jumps to nowhere, or finds its memory changed. */
const TRIAL_MICROSECONDS = 200_000;

/** Looks at them for a while; the first that has ended meanwhile. */
export function firstEnded(pids: readonly number[]): number | undefined {
  sleepMicroseconds(TRIAL_MICROSECONDS);
  return pids.find((pid) => hasEnded(pid));
}
