/** Moving contents between files, holes kept. */
import { readSync, writeSync } from "node:fs";
import { attempt, call } from "../../sys/call.ts";
import { SEEK } from "../../abi/fcntl.ts";
import { ERRNO } from "../../abi/errno.ts";
import type { Blob } from "../thaw-context.ts";
import { fillHugeFile, hugePageOf } from "./hugetlb-file.ts";

const CHUNK = 1024 * 1024;

/** The data ranges of an open file, holes left out (lseek(2), SEEK_DATA). File systems without holes give one range. */
export function dataRanges(fd: number, size: number): (readonly [start: number, end: number])[] {
  const ranges: [number, number][] = [];
  let at = 0;
  while (at < size) {
    const start = attempt("lseek", fd, at, SEEK.SEEK_DATA);
    if (start === -ERRNO.ENXIO) break;
    if (start < 0) return [[0, size]];
    const hole = attempt("lseek", fd, start, SEEK.SEEK_HOLE);
    const end = hole < 0 ? size : Math.min(hole, size);
    ranges.push([start, end]);
    at = end;
  }
  return ranges;
}

/** Copies data ranges from one descriptor to another, at the same offsets. */
export function copyRanges(from: number, to: number, ranges: readonly (readonly [number, number])[]): void {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (const [start, end] of ranges) {
    for (let at = start; at < end;) {
      const got = readSync(from, buffer, 0, Math.min(CHUNK, end - at), at);
      if (got === 0) break;
      let written = 0;
      while (written < got) written += writeSync(to, buffer, written, got - written, at + written);
      at += got;
    }
  }
}

/** Fills an open file with what a blob holds, gives it its size, and closes the blob. */
export function copyContents(from: Blob, to: number, size: number): void {
  using blob = from;
  call("ftruncate", "Sizing a file", to, size);
  if (hugePageOf(`/proc/self/fd/${to}`) !== undefined) return fillHugeFile(blob, to, size);
  const most = Math.min(size, blob.size);
  if (blob.plain === undefined) copyNonZero(blob, to, most);
  else copyRanges(blob.plain, to, dataRanges(blob.plain, most));
}

const PIECE = 64 * 1024;

/** What is encrypted shows no holes: stretches of zeros are left as such. */
function copyNonZero(blob: Blob, to: number, size: number): void {
  const buffer = Buffer.allocUnsafe(PIECE);
  const zeros = Buffer.alloc(PIECE);
  for (let at = 0; at < size; at += PIECE) {
    const part = buffer.subarray(0, Math.min(PIECE, size - at));
    blob.read(part, at);
    if (part.equals(zeros.subarray(0, part.length))) continue;
    for (let done = 0; done < part.length;) done += writeSync(to, part, done, part.length - done, at + done);
  }
}
