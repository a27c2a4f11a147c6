/** Would it freeze? Stops the processes for the time of one look, and lets them go on. */
import type { CheckRequest } from "../../lib/requests.ts";
import { failures } from "../../errors/catalogue.ts";
import { invalidPart } from "../../image/valid-state.ts";
import type { FrozenState } from "../../image/schema.ts";
import type { Identity } from "../../sys/identity.ts";
import { type FailureObject, KmonteError, RefusalList } from "../../errors/failure.ts";
import { lookOutside } from "../../proc/outside.ts";
import { admitting, refuseForeign } from "../stop/admission.ts";
import { Quiesce } from "../retry/quiesce.ts";
import { Freezing } from "../inspect/context.ts";
import { Look } from "../inspect/look.ts";
import type { LookOptions } from "../inspect/options.ts";
import { pauseAfter } from "../retry/retry.ts";
import { differencesOf, type HeldDifference } from "./differences.ts";
import { needsOf, type HeldNeed } from "./kernel-needs.ts";
import { checkRoots } from "../stop/roots.ts";
import { StoppedSet } from "../stop/stopped-set.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";

export interface CheckOutcome {
  readonly processes: readonly { readonly pid: number; readonly command: string; readonly threads: number }[];
  /** What stands in the way; empty when the set would freeze. */
  readonly refusals: FailureObject[];
  /** What a person should know of the freeze. */
  readonly notes: readonly string[];
  /** What a kernel must have been built with to take them. */
  readonly needs: readonly HeldNeed[];
  /** What of them is not as it was after a thaw, beside what holds for every program. */
  readonly differences: readonly HeldDifference[];
  /** How long the processes stood still, in milliseconds. */
  readonly pausedMs: number;
}

/** Of processes that could not be looked at. */
export const NOTHING_SEEN = { processes: [], notes: [], needs: [], differences: [] } as const;

export interface CheckJob extends CheckRequest {
  /** The ordinary user on whose behalf it is done. */
  readonly user?: Identity | undefined;
}

export function checkOnly({ pids, ...options }: CheckJob): CheckOutcome {
  checkRoots(pids);
  // As a freeze does: servers to which somebody comes all the time would never be found at rest.
  let moment: Quiesce | undefined;
  try {
    for (let tries = 0; ; tries += 1) {
      const start = performance.now();
      const { refusals, pause, calm, state, ...outcome } = lookOnce(pids, options, tries);
      const pausedMs = performance.now() - start;
      moment?.[Symbol.dispose]();
      moment = calm;
      // As a freeze does before it writes; the processes run meanwhile.
      const wrong = refusals.length === 0 ? invalidPart(state) : undefined;
      if (wrong !== undefined) refusals.push(failures.STATE_INVALID({ wrong }));
      if (pause === undefined) {
        const differences = state === undefined ? [] : differencesOf(state);
        return { ...outcome, differences, refusals: refusals.map((one) => one.toJSON()), pausedMs };
      }
      if (moment) moment.wait(pause);
      else sleepMicroseconds(pause * 1000);
    }
  } finally {
    moment?.[Symbol.dispose]();
  }
}

type Seen = Omit<CheckOutcome, "refusals" | "differences" | "pausedMs"> & {
  readonly refusals: KmonteError[];
  /** What was found; undefined where that could not be looked at. */
  readonly state?: FrozenState;
  /** How long to wait before another look, in milliseconds; undefined when this one counts. */
  readonly pause: number | undefined;
  /** What was begun so that the next look comes at a better moment. */
  readonly calm: Quiesce | undefined;
};

function lookOnce(pids: readonly number[], options: LookOptions, tries: number): Seen {
  const outside = lookOutside(pids);
  const set = StoppedSet.stop(pids, admitting(options.user));
  try {
    using context = new Freezing(set.tasks, { ...options, outside });
    const { refusals, state, notes, restless } = new Look(context, set, options.carry).run();
    refusals.push(...refuseForeign(state, options.user));
    const pause = refusals.length === 0 ? undefined : pauseAfter(refusals, tries);
    return {
      processes: [...set.processes.values()].map(({ pid, stat, threads }) => ({
        pid,
        command: stat.comm,
        threads: threads.length,
      })),
      refusals: [...refusals],
      state,
      pause,
      calm: pause !== undefined && restless.length > 0 ? new Quiesce(restless) : undefined,
      notes,
      needs: needsOf(state),
    };
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    const refusals = error instanceof RefusalList ? [...error.refusals] : [error];
    return { ...NOTHING_SEEN, refusals, pause: pauseAfter(refusals, tries), calm: undefined };
  } finally {
    set.release();
  }
}
