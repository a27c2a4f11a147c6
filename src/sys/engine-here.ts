/**
 * An engine on the thread of whoever asks for it, which does nothing else meanwhile: no timer of Node goes off and no
 * signal is handled, except that those that ask to stop are noted (interruption.x86_64.ts).
 */
import type { Engine, EngineHandlers, EngineRequests, Job } from "../lib/engine.ts";
import { EngineThread, firstOf } from "../lib/engine-thread.ts";
import type { ProgressListener } from "../lib/progress.ts";
import type { Watcher } from "../lib/watcher.ts";
import { Interruption } from "./interruption.x86_64.ts";

/** Makes the handlers of one engine. */
type EngineMaker = () => EngineHandlers<EngineRequests>;

/** By the name of the engine's file; empty where engines have threads of their own, as in a library. */
const here = new Map<string, EngineMaker>();

/** From now on, these engines work on the thread of whoever asks: for a process that does one thing after the other. */
export function workHere(engines: Readonly<Record<string, EngineMaker>>): void {
  for (const [name, make] of Object.entries(engines)) here.set(name, make);
}

/** Starts an engine: `name` is its file, as lib/program-files.ts takes it. */
export function startEngine<R extends EngineRequests>(name: string, onProgress?: ProgressListener): Engine<R> {
  const make = here.get(name) as (() => EngineHandlers<R>) | undefined;
  return make ? new EngineHere<R>(make(), onProgress) : new EngineThread<R>(name, onProgress);
}

class EngineHere<R extends EngineRequests> implements Engine<R> {
  readonly #handlers: EngineHandlers<R>;
  #onProgress: ProgressListener | undefined;

  constructor(handlers: EngineHandlers<R>, onProgress: ProgressListener | undefined) {
    this.#handlers = handlers;
    this.#onProgress = onProgress;
  }

  park(): void {
    this.#onProgress = undefined;
  }

  unpark(onProgress: ProgressListener | undefined): void {
    this.#onProgress = onProgress;
  }

  // Failures are those of a promise, as from a thread.
  async ask<N extends keyof R>(name: N, job: Job<R, N>, signal?: AbortSignal): Promise<ReturnType<R[N]>> {
    using interruption = signal && new Interruption();
    const watcher: Watcher = {
      report: (event) => this.#onProgress?.({ ...event, at: Date.now() }),
      aborted: () => signal?.aborted === true || interruption?.isRaised === true,
    };
    try {
      return this.#handlers[name](job, watcher);
    } catch (error) {
      throw firstOf(error);
    }
  }

  end(): Promise<void> {
    return Promise.resolve();
  }
}
