/**
 * Engines that stay. Starting one costs more than a freeze of a small program, and what they would leave behind of one
 * cycle in the next shows here.
 */
import type { FreezeJob, FreezeOutcome } from "../../src/freeze/engine.ts";
import type { FreezeRequests } from "../../src/freeze/worker.ts";
import { EngineThread } from "../../src/lib/engine-thread.ts";
import type { Engines } from "../harness.ts";
import type { ThawJob } from "../../src/thaw/engine.ts";
import type { ThawRequests } from "../../src/thaw/worker.ts";

export class LastingEngines implements Engines, AsyncDisposable {
  #freezer = new EngineThread<FreezeRequests>("freeze/worker", undefined);
  #thawer = new EngineThread<ThawRequests>("thaw/worker", undefined);

  async freeze(pids: readonly number[], directory: string): Promise<FreezeOutcome> {
    const job: FreezeJob = { pids, directory, end: "kill" };
    return this.#freezer.ask("run", job);
  }

  async thaw(directory: string): Promise<void> {
    const job = { directory, unsigned: false, again: false, shell: false, otherProcessor: false } satisfies ThawJob;
    await this.#thawer.ask("run", job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#freezer.end();
    await this.#thawer.end();
  }
}
