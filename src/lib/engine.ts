/**
 * What freezes and thaws, and whoever asks for that. A tracee belongs to the thread that seized it, and that thread works
 * without returning to the event loop: an engine on a thread of its own (engine-thread.ts) is for those who do something
 * else meanwhile, one on the thread of whoever asks (sys/engine-here.ts) for those who would only wait.
 */
import type { ProgressListener } from "./progress.ts";
import type { Watcher } from "./watcher.ts";

/** What an engine can be asked for: by name, what it is given and what it answers. */
export type EngineRequests = Readonly<Record<string, (job: never) => unknown>>;

export type Job<R extends EngineRequests, N extends keyof R> = Parameters<R[N]>[0];

/** The engine's own side. */
export type EngineHandlers<R extends EngineRequests> = {
  readonly [N in keyof R]: (job: Job<R, N>, watcher: Watcher) => ReturnType<R[N]>;
};

/** An engine that has been started and takes one request at a time. */
export interface Engine<R extends EngineRequests> {
  /** Asks the engine to do something; an abort asks it to stop at the next safe point, and it then fails. */
  ask<N extends keyof R>(name: N, job: Job<R, N>, signal?: AbortSignal): Promise<ReturnType<R[N]>>;
  /** Has it wait for more to do; this process may end meanwhile. */
  park(): void;
  /** Ends such a wait. */
  unpark(onProgress: ProgressListener | undefined): void;
  end(): Promise<void>;
}
