/**
 * Engines that freeze and look. Starting one on a thread takes about as long as a look at a few processes, and one that
 * has looked already is quicker: whoever needs one no more leaves it to who comes next in this process.
 */
import type { Engine } from "../lib/engine.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { startEngine } from "../sys/engine-here.ts";
import type { FreezeRequests } from "./worker.ts";

export type FreezeEngine = Engine<FreezeRequests>;

let parked: FreezeEngine | undefined;

/** One that has nothing to do; it is given back, or ended when anything went wrong in it. */
export function takeEngine(onProgress?: ProgressListener): FreezeEngine {
  const engine = parked ?? startEngine<FreezeRequests>("freeze/worker");
  parked = undefined;
  engine.unpark(onProgress);
  return engine;
}

/** Of several one is kept. */
export async function giveBack(engine: FreezeEngine): Promise<void> {
  if (parked) return await engine.end();
  parked = engine;
  engine.park();
}
