/** The engine that thaws, and the thread of its own that it may have. */
import type { EngineHandlers, EngineRequests } from "../lib/engine.ts";
import { serveEngine } from "../lib/engine-thread.ts";
import { runThaw, verifyImage, type ThawJob, type ThawOutcome, type Verified } from "./engine.ts";

/** What the thread can be asked for: the image may be verified before all else is. */
export interface ThawRequests extends EngineRequests {
  readonly verify: (job: ThawJob) => void;
  readonly run: (job: ThawJob) => ThawOutcome;
}

export function thawHandlers(): EngineHandlers<ThawRequests> {
  let verified: Verified | undefined;
  return {
    verify(job, watcher) {
      verified = verifyImage(job, watcher);
    },
    run(job, watcher) {
      const held = verified;
      verified = undefined;
      return runThaw(job, watcher, held);
    },
  };
}

serveEngine(thawHandlers());
