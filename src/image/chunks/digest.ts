/** Digests of image files, chunk by chunk, so that they can be made and checked in parallel and holes cost nothing. */
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { dataRanges } from "../../resources/file/copy.ts";
import { FileChunks, type ChunkPool } from "./pool.ts";

export const CHUNK_SIZE = 4 * 1024 * 1024;

let zeroDigest: string | undefined;

/**
 * The same by several threads. `ahead` has the chunks that were asked for while the file was still being written.
 * A chunk that a thread could not read is read again here, where the error can be told.
 */
export function digestFileWith(
  pool: ChunkPool,
  path: string,
  onBytes: (bytes: number) => void = () => undefined,
  ahead?: FileChunks,
): { size: number; sha256: string[] } {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const chunks = Math.ceil(size / CHUNK_SIZE);
    const lengthOf = (chunk: number): number => Math.min(CHUNK_SIZE, size - chunk * CHUNK_SIZE);
    const digests = ahead ?? new FileChunks(pool, path, chunks);
    const wanted = new Set<number>();
    for (const [start, end] of dataRanges(fd, size))
      for (let chunk = Math.floor(start / CHUNK_SIZE); chunk * CHUNK_SIZE < end; chunk += 1) wanted.add(chunk);
    if (chunks > 0) wanted.add(chunks - 1);
    for (const chunk of wanted) digests.ask(chunk, lengthOf(chunk));
    // Holes are done with.
    onBytes((chunks - wanted.size) * CHUNK_SIZE);
    if (digests.wait((done) => onBytes(done * CHUNK_SIZE)).length > 0) return digestFile(path, onBytes);
    return { size, sha256: digestsOf(digests, chunks) };
  } finally {
    closeSync(fd);
  }
}

/** The SHA-256 of each chunk, in hexadecimal: whole ones that nobody asked for are holes. */
export function digestsOf(digests: FileChunks, chunks: number): string[] {
  zeroDigest ??= createHash("sha256").update(Buffer.alloc(CHUNK_SIZE)).digest("hex");
  const zero = zeroDigest;
  return Array.from({ length: chunks }, (_, chunk) => (digests.has(chunk) ? digests.hex(chunk) : zero));
}

/** The SHA-256 of each chunk of an open file, in hexadecimal; the last chunk may be short. */
export function digestFile(
  path: string,
  onBytes: (bytes: number) => void = () => undefined,
): { size: number; sha256: string[] } {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_SIZE, Math.max(size, 1)));
    const touched = new Set<number>();
    for (const [start, end] of dataRanges(fd, size)) {
      for (let chunk = Math.floor(start / CHUNK_SIZE); chunk * CHUNK_SIZE < end; chunk += 1) touched.add(chunk);
    }
    const sha256: string[] = [];
    for (let chunk = 0; chunk * CHUNK_SIZE < size; chunk += 1) {
      const length = Math.min(CHUNK_SIZE, size - chunk * CHUNK_SIZE);
      if (!touched.has(chunk) && length === CHUNK_SIZE) {
        zeroDigest ??= createHash("sha256").update(Buffer.alloc(CHUNK_SIZE)).digest("hex");
        sha256.push(zeroDigest);
      } else {
        let got = 0;
        while (got < length) {
          const more = readSync(fd, buffer, got, length - got, chunk * CHUNK_SIZE + got);
          if (more === 0) break;
          got += more;
        }
        sha256.push(createHash("sha256").update(buffer.subarray(0, got)).digest("hex"));
      }
      onBytes(length);
    }
    return { size, sha256 };
  } finally {
    closeSync(fd);
  }
}
