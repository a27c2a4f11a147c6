/**
 * Threads that freeze and look. Starting one takes about as long as a look at a few processes, and one that has looked
 * already is quicker: whoever needs one no more leaves it to who comes next in this process.
 */
import { EngineThread } from "../lib/engine-thread.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { guardSeizing } from "../tracee/seize-guard.ts";
import type { FreezeRequests } from "./worker.ts";

export type FreezeThread = EngineThread<FreezeRequests>;

let parked: FreezeThread | undefined;

/** One that has nothing to do; it is given back, or ended when anything went wrong in it. */
export function takeThread(onProgress?: ProgressListener): FreezeThread {
  const thread = parked ?? new EngineThread<FreezeRequests>("freeze/worker", undefined, guardSeizing);
  parked = undefined;
  thread.unpark(onProgress);
  return thread;
}

/** Of several one is kept. */
export async function giveBack(thread: FreezeThread): Promise<void> {
  if (parked) return await thread.end();
  parked = thread;
  thread.park();
}
