/** An engine on a thread of its own: whoever asks it goes on meanwhile. Starting it takes as long as starting Node. */
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { failures } from "../errors/catalogue.ts";
import { type FailureFacts, type FailureKind, KmonteError, type Refusal, RefusalList } from "../errors/failure.ts";
import { rebuildFailure, rebuildList } from "../errors/retell.ts";
import { programFile } from "./program-files.ts";
import type { ProgressListener } from "./progress.ts";
import { namedFailure } from "./system-failure.ts";
import type { Engine, EngineHandlers, EngineRequests, Job } from "./engine.ts";
import type { Watcher } from "./watcher.ts";

/** What the two threads say to each other. */
type FromEngine =
  | { readonly type: "progress"; readonly event: Parameters<ProgressListener>[0] }
  | { readonly type: "done"; readonly value: unknown }
  | { readonly type: "failed"; readonly failure: SerializedFailure };

/** A failure on its way to another thread or process. */
export interface SerializedFailure {
  readonly known: boolean;
  readonly code: string;
  readonly kind: FailureKind;
  readonly what: string;
  readonly why: string | undefined;
  readonly remedy: string | undefined;
  readonly facts: FailureFacts;
  readonly stack: string | undefined;
  readonly refusals: readonly SerializedFailure[];
}

/** What the two threads share, a word of 32 bits: not 0 when the engine is to stop at the next safe point. */
interface EngineData {
  readonly abort: SharedArrayBuffer;
}

/** The engine's side: called once at the top of an engine's own file. */
export function serveEngine<R extends EngineRequests>(handlers: EngineHandlers<R>): void {
  if (isMainThread || !parentPort) return;
  const port = parentPort;
  const abort = new Int32Array((workerData as EngineData).abort);
  const watcher: Watcher = {
    report: (event) => port.postMessage({ type: "progress", event: { ...event, at: Date.now() } } satisfies FromEngine),
    aborted: () => Atomics.load(abort, 0) !== 0,
  };
  port.on("message", ({ name, job }: { name: keyof R; job: Job<R, keyof R> }) => {
    try {
      port.postMessage({ type: "done", value: handlers[name](job, watcher) } satisfies FromEngine);
    } catch (error) {
      port.postMessage({ type: "failed", failure: serializeFailure(error) } satisfies FromEngine);
    }
  });
}

/** Threads that hold something: one that nobody refers to any more would be collected, and let go of it. */
const running = new Set<Worker>();

/** The caller's side: an engine that has been started and takes one request at a time. */
export class EngineThread<R extends EngineRequests> implements Engine<R> {
  readonly #worker: Worker;
  readonly #abort = new Int32Array(new SharedArrayBuffer(4));
  #onProgress: ProgressListener | undefined;

  /** `name` is the engine's file, as {@link programFile} takes it. */
  constructor(name: string, onProgress?: ProgressListener) {
    this.#worker = new Worker(programFile(name), {
      workerData: { abort: this.#abort.buffer } satisfies EngineData,
      // Descriptors come and go by system calls that Node does not see.
      trackUnmanagedFds: false,
    });
    this.#onProgress = onProgress;
    running.add(this.#worker);
  }

  park(): void {
    this.#onProgress = undefined;
    this.#worker.unref();
  }

  unpark(onProgress: ProgressListener | undefined): void {
    this.#onProgress = onProgress;
    this.#worker.ref();
  }

  async ask<N extends keyof R>(name: N, job: Job<R, N>, signal?: AbortSignal): Promise<ReturnType<R[N]>> {
    Atomics.store(this.#abort, 0, 0);
    const onAbort = (): void => void Atomics.store(this.#abort, 0, 1);
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort);
    try {
      return await new Promise<ReturnType<R[N]>>((resolve, reject) => {
        const settle = (action: () => void): void => {
          this.#worker.off("message", onMessage);
          this.#worker.off("error", onError);
          action();
        };
        const onError = (error: unknown): void => settle(() => reject(error));
        const onMessage = (message: FromEngine): void => {
          if (message.type === "progress") this.#onProgress?.(message.event);
          else if (message.type === "done") settle(() => resolve(message.value as ReturnType<R[N]>));
          else settle(() => reject(deserializeFailure(message.failure)));
        };
        this.#worker.on("message", onMessage);
        this.#worker.on("error", onError);
        this.#worker.postMessage({ name, job });
      });
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async end(): Promise<void> {
    running.delete(this.#worker);
    await this.#worker.terminate();
  }
}

/** What began it, where tidying up after it failed as well: a task that has ended cannot be put right. */
export function firstOf(error: unknown): unknown {
  return error instanceof SuppressedError ? firstOf(error.suppressed) : error;
}

export function serializeFailure(failure: unknown): SerializedFailure {
  const error = namedFailure(firstOf(failure));
  const known = error instanceof KmonteError;
  const { code, kind, what, why, remedy, facts } = known ? error : failures.DEFECT({ what: String(error) });
  return {
    known,
    code,
    kind,
    what,
    why,
    remedy,
    facts,
    stack: error instanceof Error ? error.stack : undefined,
    refusals: error instanceof RefusalList ? error.refusals.map((refusal) => serializeFailure(refusal)) : [],
  };
}

export function deserializeFailure(failure: SerializedFailure): Error {
  const { code, kind, what, why, remedy, facts } = failure;
  const told = { code, what, ...(why !== undefined && { why }), ...(remedy !== undefined && { remedy }), facts };
  if (failure.refusals.length > 0)
    return rebuildList(
      told,
      failure.refusals.map((refusal) => deserializeFailure(refusal) as Refusal),
    );
  if (failure.known) return rebuildFailure(kind, told);
  const defect = new Error(what);
  if (failure.stack !== undefined) defect.stack = failure.stack;
  return defect;
}
