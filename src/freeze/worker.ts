/** The thread that freezes. */
import { serveEngine } from "../lib/engine-thread.ts";
import { checkOnly } from "./check.ts";
import { checkJob, Freeze, type FreezeJob } from "./engine.ts";
import { rehearse } from "./rehearsal.ts";

let freeze: Freeze | undefined;
/** Once is enough for a thread. */
let rehearsed = false;

serveEngine<FreezeJob>({
  run(job, watcher) {
    // What is wrong with the request is said at once.
    checkJob(job);
    if (!rehearsed) rehearse();
    rehearsed = true;
    freeze = new Freeze(job, watcher);
    return freeze.run();
  },
  check: (job) => checkOnly(job.pids, job),
  release: () => freeze?.release(),
  kill: () => freeze?.kill(),
});
