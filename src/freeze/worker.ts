/** The thread that freezes. */
import { serveEngine } from "../lib/engine-thread.ts";
import { checkOnly } from "./check.ts";
import { Freeze, type FreezeJob } from "./engine.ts";

let freeze: Freeze | undefined;

serveEngine<FreezeJob>({
  run(job, watcher) {
    freeze = new Freeze(job, watcher);
    return freeze.run();
  },
  check: (job) => checkOnly(job.pids),
  release: () => freeze?.release(),
  kill: () => freeze?.kill(),
});
