/**
 * Threads that copy memory into chunks of files and take digests. Their owner may block: what they say goes through
 * shared memory, not through events.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { ChunkSource } from "./copy.ts";
import { programFile } from "../../lib/program-files.ts";

export const DIGEST_SIZE = 32;
const MOST_WORKERS = 8;

/** What {@link ChunkRequest.states} says of a chunk. */
export const CHUNK = { OPEN: 0, KNOWN: 1, FAILED: 2 } as const;
/** Words of {@link ChunkRequest.control}: requests that have been served, and chunks that were written to. */
export const CONTROL = { DONE: 0, CHANGED: 1, WORDS: 2 } as const;

/** What a worker is asked: one chunk's digest, into its place, after bringing it up to date with a source. */
export interface ChunkRequest {
  readonly path: string;
  readonly chunk: number;
  readonly length: number;
  readonly source?: ChunkSource | undefined;
  readonly digests: SharedArrayBuffer;
  /** A byte for each chunk. */
  readonly states: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

export class ChunkPool implements Disposable {
  readonly #workers: Worker[];
  #next = 0;

  /** Starting a worker takes some 50 ms of a processor: of use for large images only. */
  constructor() {
    const count = Math.min(availableParallelism(), MOST_WORKERS);
    this.#workers = Array.from({ length: count }, () => {
      const worker = new Worker(programFile("image/chunk-worker"), { trackUnmanagedFds: false });
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

/** The chunks of one file, served by a pool while the file may still be growing. */
export class FileChunks {
  readonly #pool: ChunkPool;
  readonly #path: string;
  readonly #digests: SharedArrayBuffer;
  readonly #states: SharedArrayBuffer;
  readonly #control = new SharedArrayBuffer(CONTROL.WORDS * 4);
  /** The last request of each chunk. */
  readonly #asked = new Map<number, { length: number; source?: ChunkSource | undefined }>();
  #count = 0;

  /** With `before`, what is known of the file's chunks from an earlier time goes on being known. */
  constructor(pool: ChunkPool, path: string, chunks: number, before?: FileChunks) {
    this.#pool = pool;
    this.#path = path;
    this.#digests = new SharedArrayBuffer(Math.max(chunks, 1) * DIGEST_SIZE);
    this.#states = new SharedArrayBuffer(Math.max(chunks, 1));
    if (!before) return;
    const kept = Math.min(chunks, before.#states.byteLength);
    new Uint8Array(this.#states).set(new Uint8Array(before.#states, 0, kept));
    new Uint8Array(this.#digests).set(new Uint8Array(before.#digests, 0, kept * DIGEST_SIZE));
  }

  /** Whether the chunk was asked for, here or before. */
  has(chunk: number): boolean {
    return this.#asked.has(chunk) || this.#state(chunk) !== CHUNK.OPEN;
  }

  /** Asks for the digest of a chunk that will not change any more; with a source, brings it up to date first. */
  ask(chunk: number, length: number, source?: ChunkSource): void {
    if (!source && this.has(chunk)) return;
    this.#asked.set(chunk, { length, source });
    this.#count += 1;
    this.#pool.ask({
      path: this.#path,
      chunk,
      length,
      source,
      digests: this.#digests,
      states: this.#states,
      control: this.#control,
    });
  }

  /** Waits for all; `onDone` is told how many requests are done, and may throw. Returns the chunks that failed. */
  wait(onDone: (requests: number) => void): { chunk: number; length: number; source?: ChunkSource | undefined }[] {
    const counts = new Int32Array(this.#control);
    for (let told = 0; ;) {
      const done = Atomics.load(counts, CONTROL.DONE);
      if (done > told) onDone(done - told);
      told = done;
      if (done >= this.#count) break;
      Atomics.wait(counts, CONTROL.DONE, done, 100);
    }
    return [...this.#asked]
      .filter(([chunk]) => this.#state(chunk) === CHUNK.FAILED)
      .map(([chunk, request]) => ({ chunk, ...request }));
  }

  /** How many chunks were written to. */
  get changed(): number {
    return Atomics.load(new Int32Array(this.#control), CONTROL.CHANGED);
  }

  /** Notes a digest that was taken elsewhere. */
  put(chunk: number, digest: Buffer | undefined): void {
    if (digest) new Uint8Array(this.#digests, chunk * DIGEST_SIZE, DIGEST_SIZE).set(digest);
    new Uint8Array(this.#states)[chunk] = CHUNK.KNOWN;
  }

  hex(chunk: number): string {
    return Buffer.from(this.#digests, chunk * DIGEST_SIZE, DIGEST_SIZE).toString("hex");
  }

  #state(chunk: number): number {
    return new Uint8Array(this.#states)[chunk] ?? CHUNK.OPEN;
  }
}
