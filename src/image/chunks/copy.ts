/** Bringing one chunk of a core file up to date with the memory that it shows, and taking its digest. */
import { procPath } from "../../sys/task.ts";
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { attempt, call } from "../../sys/call.ts";
import { NativeBuffer } from "../../sys/ffi.unsafe.ts";
import { PAGE_SIZE } from "../../abi/mman.ts";
import { asOurselves } from "../../sys/identity.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { CHUNK_SIZE } from "./digest.ts";

/** Memory that stands behind a chunk: triples of address, offset within the chunk, length; the rest is zeros. */
export interface ChunkSource {
  readonly task: Task;
  readonly parts: Float64Array;
  /** Memory that cannot be read is an error; of a program that still runs it is not: it may just have given it back. */
  readonly stopped: boolean;
}

const IOVEC = 16;
/** UIO_MAXIOV of include/uapi/linux/uio.h. */
const MOST_PARTS = 1024;
/** fallocate(2): FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. */
const PUNCH_HOLE = 3;
const ZERO_PAGE = Buffer.alloc(PAGE_SIZE);

/** Has two buffers of a chunk each, for as long as it is of use. */
export class ChunkCopier implements Disposable {
  readonly #memory = new NativeBuffer(CHUNK_SIZE);
  readonly #file = new NativeBuffer(CHUNK_SIZE);
  readonly #vectors = new NativeBuffer(2 * MOST_PARTS * IOVEC);

  /** The SHA-256 of `length` bytes of the chunk as they are in the file. */
  digest(fd: LocalFd, chunk: number, length: number): Buffer {
    this.#readFile(fd, chunk, length);
    return this.#hash(length);
  }

  /**
   * Writes the pages in which the file differs from memory, and reads them back. Returns the chunk's SHA-256;
   * undefined when nothing had to be written and `known` says that the digest is known.
   */
  copy(fd: LocalFd, chunk: number, length: number, source: ChunkSource, known: boolean): Buffer | undefined {
    this.#readMemory(length, source);
    this.#readFile(fd, chunk, length);
    if (this.#same(0, length)) return known ? undefined : this.#hash(length);
    this.#writeDifferences(fd, chunk, length);
    this.#readFile(fd, chunk, length);
    if (!this.#same(0, length)) throw failures.IMAGE_WRITE.chunk({ chunk });
    return this.#hash(length);
  }

  #hash(length: number): Buffer {
    return createHash("sha256").update(this.#file.bytes.subarray(0, length)).digest();
  }

  #same(from: number, to: number): boolean {
    return this.#memory.bytes.compare(this.#file.bytes, from, to, from, to) === 0;
  }

  /** What is beyond the end of the file reads as zeros. */
  #readFile(fd: LocalFd, chunk: number, length: number): void {
    const at = chunk * CHUNK_SIZE;
    for (let done = 0, got = 1; done < length; done += got) {
      got = call("pread64", "Reading the image back", fd, this.#file.address + done, length - done, at + done);
      if (got > 0) continue;
      this.#file.bytes.fill(0, done, length);
      return;
    }
  }

  #readMemory(length: number, source: ChunkSource): void {
    const { parts } = source;
    let filled = 0;
    for (let i = 0; i < parts.length; i += 3) filled += parts[i + 2] as number;
    if (filled < length) this.#memory.bytes.fill(0, 0, length);
    for (let first = 0; first < parts.length; first += 3 * MOST_PARTS)
      this.#readParts(source, parts.subarray(first, first + 3 * MOST_PARTS));
  }

  #readParts({ task, stopped }: ChunkSource, parts: Float64Array): void {
    const count = parts.length / 3;
    const remote = this.#vectors.address + MOST_PARTS * IOVEC;
    let total = 0;
    for (let i = 0; i < count; i += 1) {
      const [address = 0, offset = 0, size = 0] = parts.subarray(i * 3, i * 3 + 3);
      this.#vectors.bytes.writeBigUInt64LE(BigInt(this.#memory.address + offset), i * IOVEC);
      this.#vectors.bytes.writeBigUInt64LE(BigInt(size), i * IOVEC + 8);
      this.#vectors.bytes.writeBigUInt64LE(BigInt(address), (MOST_PARTS + i) * IOVEC);
      this.#vectors.bytes.writeBigUInt64LE(BigInt(size), (MOST_PARTS + i) * IOVEC + 8);
      total += size;
    }
    if (attempt("process_vm_readv", task, this.#vectors.address, count, remote, count, 0) === total) return;
    // A page that the program itself may not read stands in the way: /proc/PID/mem reads past protections.
    this.#readOneByOne(task, parts, stopped);
  }

  #readOneByOne(task: Task, parts: Float64Array, stopped: boolean): void {
    let fd: number | undefined;
    try {
      fd = asOurselves(() => openSync(procPath(task, "mem"), "r"));
      for (let i = 0; i < parts.length; i += 3) {
        const [address = 0, offset = 0, size = 0] = parts.subarray(i, i + 3);
        for (let done = 0; done < size;) {
          const got = readSync(fd, this.#memory.bytes, offset + done, size - done, address + done);
          if (got === 0) throw failures.TRACEE_MEMORY.gone({ pid: task });
          done += got;
        }
      }
    } catch (error) {
      if (stopped) throw error;
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  #writeDifferences(fd: LocalFd, chunk: number, length: number): void {
    const differs = (at: number): boolean => at < length && !this.#same(at, Math.min(at + PAGE_SIZE, length));
    for (let at = 0; at < length;) {
      if (!differs(at)) {
        at += PAGE_SIZE;
        continue;
      }
      const zero = this.#isZero(at);
      const start = at;
      do at += PAGE_SIZE;
      while (differs(at) && this.#isZero(at) === zero);
      const end = Math.min(at, length);
      if (!zero || !punchHole(fd, chunk * CHUNK_SIZE + start, end - start))
        this.#write(fd, chunk * CHUNK_SIZE, start, end);
    }
  }

  #isZero(at: number): boolean {
    return this.#memory.bytes.compare(ZERO_PAGE, 0, PAGE_SIZE, at, at + PAGE_SIZE) === 0;
  }

  #write(fd: LocalFd, base: number, start: number, end: number): void {
    for (let at = start; at < end;)
      at += call("pwrite64", "Writing memory to the image", fd, this.#memory.address + at, end - at, base + at);
  }

  [Symbol.dispose](): void {
    for (const buffer of [this.#memory, this.#file, this.#vectors]) buffer[Symbol.dispose]();
  }
}

/** Pages that have become zeros give their room back, and what they held is gone; false where a file system cannot. */
function punchHole(fd: LocalFd, offset: number, length: number): boolean {
  return attempt("fallocate", fd, PUNCH_HOLE, offset, length) >= 0;
}
