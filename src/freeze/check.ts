/** Would it freeze? Stops the processes for the time of one look, and lets them go on. */
import { KmonteError, RefusalList } from "../lib/errors.ts";
import { lookOutside } from "../proc/outside.ts";
import { admitting, refuseForeign } from "./admission.ts";
import { Look } from "./look.ts";
import type { LookOptions } from "./look-options.ts";
import { pauseAfter } from "./patience.ts";
import { needsOf, type HeldNeed } from "./needs.ts";
import { checkRoots } from "./roots.ts";
import { StoppedSet } from "./stop.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";

export interface CheckOutcome {
  readonly processes: { readonly pid: number; readonly command: string; readonly threads: number }[];
  /** What stands in the way, as {@link KmonteError} objects; empty when the set would freeze. */
  readonly refusals: object[];
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
  for (let tries = 0; ; tries += 1) {
    const start = performance.now();
    const { refusals, ...outcome } = lookOnce(pids, options);
    const pausedMs = performance.now() - start;
    const pause = refusals.length === 0 ? undefined : pauseAfter(refusals, tries);
    if (pause === undefined) return { ...outcome, refusals: refusals.map((one) => one.toJSON()), pausedMs };
    sleepMicroseconds(pause * 1000);
  }
}

type Seen = Omit<CheckOutcome, "refusals" | "pausedMs"> & { readonly refusals: readonly KmonteError[] };

function lookOnce(pids: readonly number[], options: CheckOptions): Seen {
  const outside = lookOutside(pids);
  const set = StoppedSet.stop(pids, admitting(options.user));
  try {
    using look = new Look(set, { ...options, outside });
    const { refusals, state, notes } = look.run();
    refusals.push(...refuseForeign(state, options.user));
    return {
      processes: [...set.processes.values()].map(({ pid, stat, threads }) => ({
        pid,
        command: stat.comm,
        threads: threads.length,
      })),
      refusals,
      notes,
      needs: needsOf(state),
    };
  } catch (error) {
    if (!(error instanceof KmonteError)) throw error;
    const refusals = error instanceof RefusalList ? error.refusals : [error];
    return { processes: [], notes: [], needs: [], refusals };
  } finally {
    set.release();
  }
}
