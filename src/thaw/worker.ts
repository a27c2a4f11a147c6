/** The thread that thaws. */
import { serveEngine } from "../lib/engine-thread.ts";
import { runThaw, verifyImage, type ThawJob, type Verified } from "./engine.ts";

let verified: Verified | undefined;

serveEngine<ThawJob>({
  verify(job, watcher) {
    verified = verifyImage(job, watcher);
  },
  run(job, watcher) {
    const held = verified;
    verified = undefined;
    return runThaw(job, watcher, held);
  },
});
