/** The thread that thaws. */
import { serveEngine, type EngineRequests } from "../lib/engine-thread.ts";
import { runThaw, verifyImage, type ThawJob, type ThawOutcome, type Verified } from "./engine.ts";

let verified: Verified | undefined;

/** What the thread can be asked for: the image may be verified before all else is. */
export interface ThawRequests extends EngineRequests {
  readonly verify: (job: ThawJob) => void;
  readonly run: (job: ThawJob) => ThawOutcome;
}

serveEngine<ThawRequests>({
  verify(job, watcher) {
    verified = verifyImage(job, watcher);
  },
  run(job, watcher) {
    const held = verified;
    verified = undefined;
    return runThaw(job, watcher, held);
  },
});
