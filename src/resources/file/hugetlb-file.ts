/** Files of reserved huge pages (hugetlbfs): they can be read, but only a mapping of them can be written to. */
import { statfsSync } from "../../sys/files.ts";
import type { ProcPath } from "../../sys/mount-view.ts";
import { call } from "../../sys/call.ts";
import { viewMemory } from "../../sys/ffi.unsafe.ts";
import { MAP, PROT } from "../../abi/mman.ts";
import { HUGETLBFS_MAGIC } from "../../abi/stat.ts";
import type { Blob } from "../thaw-context.ts";

const CHUNK = 2 * 1024 * 1024;

/** The size of the file's huge pages; undefined for files of other file systems. */
export function hugePageOf(path: ProcPath): number | undefined {
  const { type, bsize } = statfsSync(path);
  return type === HUGETLBFS_MAGIC ? bsize : undefined;
}

/** The flag that asks mmap(2), memfd_create(2) and shmget(2) for huge pages of this size (MAP_HUGE_SHIFT). */
export function hugeSizeFlag(bytes: number): number {
  return Math.log2(bytes) * 2 ** 26;
}

/** Fills such a file from a blob; it has its size already. */
export function fillHugeFile(blob: Blob, fd: number, size: number): void {
  if (size === 0) return;
  const about = "Filling huge pages";
  // Pages are taken for what is filled only, as the file itself has them.
  const kind = MAP.MAP_SHARED | MAP.MAP_NORESERVE;
  const address = call("mmap", about, 0, size, PROT.PROT_READ | PROT.PROT_WRITE, kind, fd, 0);
  try {
    fillMemory(blob, address, size);
  } finally {
    call("munmap", about, address, size);
  }
}

/** Fills memory of our own from a blob, and leaves untouched what is nothing but zeros. */
export function fillMemory(blob: Blob, address: number, size: number): void {
  const chunk = Buffer.allocUnsafe(CHUNK);
  const zeros = Buffer.alloc(CHUNK);
  for (let at = 0; at < size; at += CHUNK) {
    const part = chunk.subarray(0, Math.max(0, Math.min(CHUNK, size - at, blob.size - at)));
    blob.read(part, at);
    if (!part.equals(zeros.subarray(0, part.length))) part.copy(viewMemory(address + at, part.length));
  }
}
