/** Moving contents between files, holes kept. */
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { attempt, call } from "../../abi/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { fillHugeFile, hugePageOf } from "./huge-file.ts";

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const CHUNK = 1024 * 1024;

/** The data ranges of an open file, holes left out (lseek(2), SEEK_DATA). File systems without holes give one range. */
export function dataRanges(fd: number, size: number): (readonly [start: number, end: number])[] {
  const ranges: [number, number][] = [];
  let at = 0;
  while (at < size) {
    const start = attempt("lseek", fd, at, SEEK_DATA);
    if (start === -ERRNO.ENXIO) break;
    if (start < 0) return [[0, size]];
    const hole = attempt("lseek", fd, start, SEEK_HOLE);
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

/** Fills an open file with what a blob holds and gives it its size. */
export function copyContents(blob: string, to: number, size: number): void {
  if (hugePageOf(`/proc/self/fd/${to}`) !== undefined) {
    call("ftruncate", "Sizing a file", to, size);
    return fillHugeFile(blob, to, size);
  }
  const from = openSync(blob, "r");
  try {
    call("ftruncate", "Sizing a file", to, size);
    copyRanges(from, to, dataRanges(from, Math.min(size, fstatSync(from).size)));
  } finally {
    closeSync(from);
  }
}
