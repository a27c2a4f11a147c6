/** Threads that take digests. Their owner may block: what they say goes through shared memory, not through events. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

export const DIGEST_SIZE = 32;
const MOST_WORKERS = 8;

/** What a worker is asked: the digest of one chunk, into its place; `control` counts those done and those failed. */
export interface ChunkRequest {
  readonly path: string;
  readonly chunk: number;
  readonly length: number;
  readonly digests: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

export class DigestPool implements Disposable {
  readonly #workers: Worker[];
  #next = 0;

  /** Starting a worker takes some 30 ms of a processor: of use for large images only. */
  constructor() {
    const ending = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
    const count = Math.min(availableParallelism(), MOST_WORKERS);
    this.#workers = Array.from({ length: count }, () => {
      const worker = new Worker(new URL(`./digest-worker${ending}`, import.meta.url), { trackUnmanagedFds: false });
      worker.unref();
      return worker;
    });
  }

  ask(request: ChunkRequest): void {
    this.#workers[this.#next % this.#workers.length]?.postMessage(request);
    this.#next += 1;
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) void worker.terminate();
  }
}

/** The digests of one file, taken by a pool while the file may still be growing. */
export class FileDigests {
  readonly #pool: DigestPool;
  readonly #path: string;
  readonly #digests: SharedArrayBuffer;
  readonly #control = new SharedArrayBuffer(8);
  readonly #asked = new Set<number>();

  constructor(pool: DigestPool, path: string, chunks: number) {
    this.#pool = pool;
    this.#path = path;
    this.#digests = new SharedArrayBuffer(Math.max(chunks, 1) * DIGEST_SIZE);
  }

  has(chunk: number): boolean {
    return this.#asked.has(chunk);
  }

  /** Asks for a chunk that will not change any more. */
  ask(chunk: number, length: number): void {
    if (this.#asked.has(chunk)) return;
    this.#asked.add(chunk);
    this.#pool.ask({ path: this.#path, chunk, length, digests: this.#digests, control: this.#control });
  }

  /** Waits for all; false when a chunk could not be read. `onDone` is told how many are done. */
  wait(onDone: (chunks: number) => void): boolean {
    const counts = new Int32Array(this.#control);
    for (let told = 0; ;) {
      const done = Atomics.load(counts, 0);
      if (done > told) onDone(done - told);
      told = done;
      if (done >= this.#asked.size) return Atomics.load(counts, 1) === 0;
      Atomics.wait(counts, 0, done, 1000);
    }
  }

  hex(chunk: number): string {
    return Buffer.from(this.#digests, chunk * DIGEST_SIZE, DIGEST_SIZE).toString("hex");
  }
}
