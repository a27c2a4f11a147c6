/** Freezing, for those who use kmonte as a library. */
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { checkRequest, freezeRequest, validRequest, type CheckRequest, type FreezeRequest } from "../lib/requests.ts";
import type { Identity } from "../sys/identity.ts";
import type { CheckJob, CheckOutcome } from "./check/check.ts";
import type { FreezeJob, FrozenMember } from "./engine.ts";
import type { HeldNeed } from "./check/kernel-needs.ts";
import { giveBack, takeEngine, type FreezeEngine } from "./engine-pool.ts";
import type { NetworkNeeds } from "../resources/socket/quarantine/network-needs.ts";

export interface FreezeOptions extends FreezeRequest {
  /** The ordinary user on whose behalf it is done (src/daemon): only processes wholly this user's are touched. */
  readonly user?: Identity | undefined;
  readonly onProgress?: ProgressListener;
  /** Aborting lets the processes go on and takes the unfinished image away. */
  readonly signal?: AbortSignal;
}

/** As {@link FreezeOptions}, for a look that changes nothing. */
export type CheckOptions = Omit<CheckRequest, "pids"> & Pick<FreezeOptions, "user">;

export interface FrozenSet {
  readonly directory: string;
  readonly processes: readonly FrozenMember[];
  readonly steps: readonly TimedStep[];
  /** Bytes of memory written. */
  readonly bytes: number;
  readonly notes: readonly string[];
  /** What the network must keep silent and must have again, should this kernel end before the thaw. */
  readonly network: NetworkNeeds;
  /** What a kernel must have been built with to take them. */
  readonly needs: readonly HeldNeed[];
  /** Lets held processes go on. */
  release(): Promise<void>;
  /** Ends held processes. */
  kill(): Promise<void>;
}

/**
 * Freezes processes to files. Throws a `KmonteError`: a `Refusal` or `RefusalList` when something stands in the way, with the
 * processes untouched.
 */
export async function freeze(options: FreezeOptions): Promise<FrozenSet> {
  const { user, onProgress, signal, ...request } = options;
  const job: FreezeJob = { ...validRequest(freezeRequest, request), user };
  const engine = takeEngine(onProgress);
  try {
    const outcome = await engine.ask("run", job, signal);
    if (job.end !== "hold") await engine.end();
    return {
      ...outcome,
      release: () => finish(engine, "release"),
      kill: () => finish(engine, "kill"),
    };
  } catch (error) {
    await engine.end();
    throw error;
  }
}

async function finish(engine: FreezeEngine, request: "release" | "kill"): Promise<void> {
  await engine.ask(request, undefined);
  await engine.end();
}

/** Looks whether processes would freeze, and lets them go on. Throws only when they cannot be looked at at all. */
export async function check(pids: readonly number[], options: CheckOptions = {}): Promise<CheckOutcome> {
  const { user, ...request } = options;
  const job: CheckJob = { ...validRequest(checkRequest, { pids, ...request }), user };
  const engine = takeEngine();
  try {
    const outcome = await engine.ask("check", job);
    await giveBack(engine);
    return outcome;
  } catch (error) {
    await engine.end();
    throw error;
  }
}
