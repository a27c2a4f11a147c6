/** The engine that freezes, and the thread of its own that it may have. */
import type { EngineHandlers, EngineRequests } from "../lib/engine.ts";
import { serveEngine } from "../lib/engine-thread.ts";
import { checkOnly, type CheckJob, type CheckOutcome } from "./check/check.ts";
import { checkJob, Freeze, type FreezeJob, type FreezeOutcome } from "./engine.ts";
import { warmUp } from "./warm-up.ts";

/** Once is enough for a thread. */
let rehearsed = false;

/** What the thread can be asked for. */
export interface FreezeRequests extends EngineRequests {
  /** Freezes; a set that is held stands still until one of the last two. */
  readonly run: (job: FreezeJob) => FreezeOutcome;
  readonly check: (job: CheckJob) => CheckOutcome;
  readonly release: (job: undefined) => void;
  readonly kill: (job: undefined) => void;
}

export function freezeHandlers(): EngineHandlers<FreezeRequests> {
  let freeze: Freeze | undefined;
  return {
    run(job, watcher) {
      // What is wrong with the request is said at once.
      checkJob(job);
      if (!rehearsed) warmUp();
      rehearsed = true;
      freeze = new Freeze(job, watcher);
      return freeze.run();
    },
    check: (job) => checkOnly(job),
    release: () => freeze?.release(),
    kill: () => freeze?.kill(),
  };
}

serveEngine(freezeHandlers());
