/** Freezing, for those who use kmonte as a library. */
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import type { EngineThread } from "../lib/engine-thread.ts";
import type { Identity } from "../abi/identity.ts";
import type { CheckOptions, CheckOutcome } from "./check.ts";
import type { FreezeJob, FreezeOutcome, FrozenMember } from "./engine.ts";
import type { HeldNeed } from "./needs.ts";
import { giveBack, takeThread } from "./threads.ts";
import type { NetworkTraces } from "../resources/files/sockets/traces.ts";

export interface FreezeOptions {
  /** Each process is frozen with all its threads and all its descendants. */
  readonly pids: readonly number[];
  /** Where the image goes: a directory that does not exist yet or is empty. It will be readable by its owner alone. */
  readonly directory: string;
  /**
   * What becomes of the processes when the image is complete, on disk and read back: they are ended (`kill`), go on
   * as if nothing had happened (`resume`), or stand still until {@link FrozenSet.release} or `kill` (`hold`). Should
   * this process end meanwhile, for whatever reason, a held set goes on.
   */
  readonly end: "kill" | "resume" | "hold";
  /** From when on the image is refused, in milliseconds since the epoch; without it, never. */
  readonly expiresAt?: number | undefined;
  /** Keys of age (age1…) that the image is encrypted to: only who has one of the secret halves can thaw it. */
  readonly encryptTo?: readonly string[] | undefined;
  /**
   * Connections (TCP, unix sockets) to processes of this machine that stay outside come back as if those had ended.
   * Peers on other machines and in other network namespaces stay connected.
   */
  readonly closeExternal?: boolean | undefined;
  /**
   * Paths that come along as a whole where they would be gone after a boot (below /run, for example): folders with all
   * that is in them, files, links, FIFOs and socket names. They are made again before anything is opened.
   */
  readonly carry?: readonly string[] | undefined;
  /** The ordinary user on whose behalf it is done (src/door): only processes wholly this user's are touched. */
  readonly user?: Identity | undefined;
  readonly onProgress?: ProgressListener;
  /** Aborting lets the processes go on and takes the unfinished image away. */
  readonly signal?: AbortSignal;
}

export interface FrozenSet {
  readonly directory: string;
  readonly processes: readonly FrozenMember[];
  readonly steps: readonly TimedStep[];
  /** Bytes of memory written. */
  readonly bytes: number;
  readonly notes: readonly string[];
  /** What the network must keep silent and must have again, should this kernel end before the thaw. */
  readonly network: NetworkTraces;
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
  const { pids, directory, end, expiresAt, encryptTo, closeExternal, carry, user } = options;
  const job: FreezeJob = { pids, directory, end, expiresAt, encryptTo, closeExternal, carry, user };
  const engine = takeThread(options.onProgress);
  try {
    const outcome = await engine.ask<FreezeOutcome>("run", job, options.signal);
    if (end !== "hold") await engine.end();
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

async function finish(engine: EngineThread, request: "release" | "kill"): Promise<void> {
  await engine.ask(request, {});
  await engine.end();
}

/** Looks whether processes would freeze, and lets them go on. Throws only when they cannot be looked at at all. */
export async function check(pids: readonly number[], options: CheckOptions = {}): Promise<CheckOutcome> {
  const thread = takeThread();
  try {
    const outcome = await thread.ask<CheckOutcome>("check", { pids, ...options });
    await giveBack(thread);
    return outcome;
  } catch (error) {
    await thread.end();
    throw error;
  }
}
