/**
 * Copying large memory into its core files while the programs still run, so that little is left to write while they
 * stand still: then each chunk is compared with memory, and only what has changed meanwhile is written again. Nothing
 * is asked of the programs for it, and no feature of the kernel: their memory is read as a debugger reads it.
 */
import { findTask } from "../../proc/read.ts";
import { procPath } from "../../sys/task.ts";
import type { Pid, Task } from "../../lib/brand.ts";
import { readdirSync, readFileSync, writeSync } from "node:fs";
import { call } from "../../sys/call.ts";
import { ChunkCopier, type ChunkSource } from "../../image/chunks/copy.ts";
import { FileChunks, type ChunkPool } from "../../image/chunks/pool.ts";
import {
  buildHeader,
  extentsOf,
  extentsWithin,
  layOut,
  planSegmentsWithin,
  type CoreMapping,
  type Extent,
  type Layout,
} from "../../image/core/file.ts";
import { CHUNK_SIZE, digestsOf } from "../../image/chunks/digest.ts";
import type { Draft, ImageWriter } from "../../image/write.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { hex } from "../../lib/hex.ts";
import { parseMaps } from "../../proc/maps.ts";
import { isKernelOwned } from "../../resources/memory/mappings.ts";
import { Pagemap } from "../../resources/memory/pages.ts";

/** A pass that took longer leaves enough changes behind for another one, in milliseconds. */
const LONG_PASS_MS = 300;
const MOST_PASSES = 3;
/** Room for headers and notes: for so many segments more than there are now, and for the notes of each thread. */
const SPARE_SEGMENTS = 4096;
const SEGMENT_BYTES = 56;
const THREAD_BYTES = 16 * 1024;
const NOTE_BYTES = 1024 * 1024;

/** Is told of bytes that are done; throws when it shall not go on. */
export type OnBytes = (bytes: number) => void;

interface Member {
  readonly pid: Pid;
  readonly task: Task;
}

export class PreCopy implements Disposable {
  readonly #writer: ImageWriter;
  readonly #pool: ChunkPool;
  readonly #cores = new Map<number, BegunCore>();

  constructor(writer: ImageWriter, pool: ChunkPool) {
    this.#writer = writer;
    this.#pool = pool;
  }

  /** Copies the memory of running processes, in passes that find less and less changed. Whoever ends meanwhile is left. */
  run(pids: readonly number[], onBytes: OnBytes): void {
    for (const pid of pids) {
      const task = findTask(pid);
      const mappings = mappingsNow(task);
      if (!mappings) continue;
      const draft = this.#writer.draft(`${pid}.core`);
      this.#cores.set(pid, new BegunCore({ pid, task }, draft, this.#writer, this.#pool, mappings));
    }
    let changed = Number.POSITIVE_INFINITY;
    for (let pass = 0; pass < MOST_PASSES; pass += 1) {
      const start = Date.now();
      const now = [...this.#cores.values()].reduce((sum, core) => sum + core.copyRunning(onBytes), 0);
      if (Date.now() - start < LONG_PASS_MS || now > changed / 2) return;
      changed = now;
    }
  }

  /** Bytes that will be looked at again while the process stands still; 0 for one that was not begun. */
  bytesOf(pid: number): number {
    return this.#cores.get(pid)?.bytes ?? 0;
  }

  /** Completes the core file of a process that stands still; false when it has none, or none that will do. */
  finish({ pid, task }: Member, mappings: readonly CoreMapping[], notes: Buffer, onBytes: OnBytes): boolean {
    const core = this.#cores.get(pid);
    this.#cores.delete(pid);
    if (!core) return false;
    using draft = core.draft;
    if (core.finish(task, mappings, notes, onBytes)) return true;
    this.#writer.reject(draft);
    return false;
  }

  /** Takes away what was begun for processes that need no core file after all. */
  rejectRest(): void {
    for (const { draft } of this.#cores.values()) this.#writer.reject(draft);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const { draft } of this.#cores.values()) draft[Symbol.dispose]();
    this.#cores.clear();
  }
}

/** A core file that was begun while its process was running. */
class BegunCore {
  /** As it was asked last; the thread may end while the program goes on. */
  #task: Task;
  readonly draft: Draft;
  readonly #writer: ImageWriter;
  readonly #pool: ChunkPool;
  readonly #layout: Layout;
  #chunks: FileChunks;

  constructor(
    { pid, task }: Member,
    draft: Draft,
    writer: ImageWriter,
    pool: ChunkPool,
    mappings: readonly CoreMapping[],
  ) {
    this.#task = task;
    this.draft = draft;
    this.#writer = writer;
    this.#pool = pool;
    const threads = orIfGone(() => readdirSync(`/proc/${pid}/task`).length, 0);
    const room = (mappings.length + SPARE_SEGMENTS) * SEGMENT_BYTES + threads * THREAD_BYTES + NOTE_BYTES;
    this.#layout = layOut(mappings, room, CHUNK_SIZE);
    this.#chunks = new FileChunks(pool, draft.path, this.#layout.end / CHUNK_SIZE);
  }

  get bytes(): number {
    return this.#layout.end - this.#layout.headerRoom;
  }

  /** One pass; returns how many chunks were written to. */
  copyRunning(onBytes: OnBytes): number {
    const mappings = mappingsNow(this.#task);
    if (!mappings) return 0;
    this.#chunks = new FileChunks(this.#pool, this.draft.path, this.#layout.end / CHUNK_SIZE, this.#chunks);
    this.#copy(extentsWithin(mappings, this.#layout), this.#layout.end, false, onBytes);
    // What is on disk by now need not be waited for later.
    this.#writer.drafting(this.draft, () => call("fdatasync", "Syncing a core file", this.draft.fd));
    return this.#chunks.changed;
  }

  finish(task: Task, mappings: readonly CoreMapping[], notes: Buffer, onBytes: OnBytes): boolean {
    this.#task = task;
    const segments = planSegmentsWithin(mappings, notes.length, this.#layout);
    if (!segments) return false;
    const extents = mappings.flatMap((mapping) => extentsOf(mapping, segments));
    const size = extents.reduce((most, { offset, length }) => Math.max(most, offset + length), this.#layout.end);
    const chunks = Math.ceil(size / CHUNK_SIZE);
    this.#chunks = new FileChunks(this.#pool, this.draft.path, chunks, this.#chunks);
    this.#writer.drafting(this.draft, () => {
      call("ftruncate", "Giving a core file its size", this.draft.fd, size);
      writeWhole(this.draft, buildHeader(segments, notes));
    });
    for (let chunk = 0; chunk * CHUNK_SIZE < this.#layout.headerRoom; chunk += 1) this.#chunks.ask(chunk, CHUNK_SIZE);
    this.#copy(extents, size, true, onBytes);
    this.#writer.accept(this.draft, { size, sha256: digestsOf(this.#chunks, chunks) });
    return true;
  }

  #copy(extents: readonly Extent[], size: number, stopped: boolean, onBytes: OnBytes): void {
    const sources = partsByChunk(extents);
    for (let chunk = this.#layout.headerRoom / CHUNK_SIZE; chunk * CHUNK_SIZE < size; chunk += 1) {
      const parts = sources.get(chunk);
      // Where there was memory and is none any more, zeros are to be.
      if (!parts && !this.#chunks.has(chunk)) continue;
      const source: ChunkSource = { task: this.#task, parts: Float64Array.from(parts ?? []), stopped };
      this.#chunks.ask(chunk, Math.min(CHUNK_SIZE, size - chunk * CHUNK_SIZE), source);
    }
    const failed = this.#chunks.wait((done) => onBytes(done * CHUNK_SIZE));
    if (failed.length === 0) return;
    // Again by ourselves: the error, if it is one, has a place to be thrown from here.
    using copier = new ChunkCopier();
    for (const { chunk, length, source } of failed) {
      this.#writer.drafting(this.draft, () => {
        const { fd } = this.draft;
        this.#chunks.put(
          chunk,
          source ? copier.copy(fd, chunk, length, source, false) : copier.digest(fd, chunk, length),
        );
      });
    }
  }
}

/** The pages that a running process owns; undefined when it has gone. */
function mappingsNow(task: Task): CoreMapping[] | undefined {
  const text = orIfGone(() => readFileSync(procPath(task, "smaps"), "utf8"), undefined);
  if (!text) return undefined;
  using pagemap = orIfGone(() => new Pagemap(task), undefined);
  if (!pagemap) return undefined;
  return parseMaps(text)
    .filter(({ shared, flags }) => !shared && !flags.some((flag) => UNTOUCHED.has(flag)))
    .filter((mapping) => !isKernelOwned(mapping))
    .map(({ start, end, prot, inode }) => ({
      start: hex(start),
      end: hex(end),
      prot,
      pages: pagemap.ownPages(start, end).map(([first, count]): [number, number] => [first, count]),
      ...(inode !== 0 && { backing: true }),
    }));
}

/** Reading memory that somebody watches (userfaultfd) would be seen; droppable memory is not kept; devices are not ours. */
const UNTOUCHED: ReadonlySet<string> = new Set(["um", "uw", "ui", "dp", "io", "pf"]);

function partsByChunk(extents: readonly Extent[]): Map<number, number[]> {
  const chunks = new Map<number, number[]>();
  for (const { address, length, offset } of extents) {
    for (let done = 0; done < length;) {
      const chunk = Math.floor((offset + done) / CHUNK_SIZE);
      const within = (offset + done) % CHUNK_SIZE;
      const part = Math.min(length - done, CHUNK_SIZE - within);
      const parts = chunks.get(chunk);
      if (parts) parts.push(address + done, within, part);
      else chunks.set(chunk, [address + done, within, part]);
      done += part;
    }
  }
  return chunks;
}

function writeWhole({ fd }: Draft, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, done);
}
