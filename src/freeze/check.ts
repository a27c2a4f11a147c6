/** Would it freeze? Stops the processes for the time of one look, and lets them go on. */
import { type FailureObject, KmonteError, RefusalList } from "../lib/errors.ts";
import { lookOutside } from "../proc/outside.ts";
import { admitting, refuseForeign } from "./admission.ts";
import { BetterMoment } from "./better-moment.ts";
import { Look } from "./look.ts";
import type { LookOptions } from "./look-options.ts";
import { pauseAfter } from "./patience.ts";
import { needsOf, type HeldNeed } from "./needs.ts";
import { checkRoots } from "./roots.ts";
import { StoppedSet } from "./stop.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";

export interface CheckOutcome {
  readonly processes: { readonly pid: number; readonly command: string; readonly threads: number }[];
  /** What stands in the way; empty when the set would freeze. */
  readonly refusals: FailureObject[];
  /** What a person should know of the freeze. */
  readonly notes: readonly string[];
  /** What a kernel must have been built with to take them. */
  readonly needs: readonly HeldNeed[];
  /** How long the processes stood still, in milliseconds. */
  readonly pausedMs: number;
}

export type CheckOptions = LookOptions;

export function checkOnly(pids: readonly number[], options: CheckOptions = {}): CheckOutcome {
  checkRoots(pids);
  // As a freeze does: servers to which somebody comes all the time would never be found at rest.
  let moment: BetterMoment | undefined;
  try {
    for (let tries = 0; ; tries += 1) {
      const start = performance.now();
      const { refusals, pause, calm, ...outcome } = lookOnce(pids, options, tries);
      const pausedMs = performance.now() - start;
      moment?.[Symbol.dispose]();
      moment = calm;
      if (pause === undefined) return { ...outcome, refusals: refusals.map((one) => one.toJSON()), pausedMs };
      if (moment) moment.wait(pause);
      else sleepMicroseconds(pause * 1000);
    }
  } finally {
    moment?.[Symbol.dispose]();
  }
}

type Seen = Omit<CheckOutcome, "refusals" | "pausedMs"> & {
  readonly refusals: readonly KmonteError[];
  /** How long to wait before another look, in milliseconds; undefined when this one counts. */
  readonly pause: number | undefined;
  /** What was begun so that the next look comes at a better moment. */
  readonly calm: BetterMoment | undefined;
};

function lookOnce(pids: readonly number[], options: CheckOptions, tries: number): Seen {
  const outside = lookOutside(pids);
  const set = StoppedSet.stop(pids, admitting(options.user));
  try {
    using look = new Look(set, { ...options, outside });
    const { refusals, state, notes, restless } = look.run();
    refusals.push(...refuseForeign(state, options.user));
    const pause = refusals.length === 0 ? undefined : pauseAfter(refusals, tries);
    return {
      processes: [...set.processes.values()].map(({ pid, stat, threads }) => ({
        pid,
        command: stat.comm,
        threads: threads.length,
      })),
      refusals,
      pause,
      calm: pause !== undefined && restless.length > 0 ? new BetterMoment(restless) : undefined,
      notes,
      needs: needsOf(state),
    };
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    const refusals = error instanceof RefusalList ? error.refusals : [error];
    return { processes: [], notes: [], needs: [], refusals, pause: pauseAfter(refusals, tries), calm: undefined };
  } finally {
    set.release();
  }
}
