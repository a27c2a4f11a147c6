/** Files of reserved huge pages (hugetlbfs): they can be read, but only a mapping of them can be written to. */
import { closeSync, openSync, readSync, statfsSync } from "node:fs";
import { call } from "../../abi/call.ts";
import { viewMemory } from "../../abi/ffi.unsafe.ts";
import { MAP, PROT } from "../../abi/mman.ts";

/** HUGETLBFS_MAGIC of statfs(2). */
const HUGETLBFS_MAGIC = 0x958458f6;
const CHUNK = 2 * 1024 * 1024;

/** The size of the file's huge pages; undefined for files of other file systems. */
export function hugePageOf(path: string): number | undefined {
  const { type, bsize } = statfsSync(path);
  return type === HUGETLBFS_MAGIC ? bsize : undefined;
}

/** The flag that asks mmap(2), memfd_create(2) and shmget(2) for huge pages of this size (MAP_HUGE_SHIFT). */
export function hugeSizeFlag(bytes: number): number {
  return Math.log2(bytes) * 2 ** 26;
}

/** Fills such a file from a blob; it has its size already. */
export function fillHugeFile(blob: string, fd: number, size: number): void {
  const about = "Filling huge pages";
  const address = call("mmap", about, 0, size, PROT.PROT_READ | PROT.PROT_WRITE, MAP.MAP_SHARED, fd, 0);
  try {
    fillMemory(blob, address, size);
  } finally {
    call("munmap", about, address, size);
  }
}

/** Fills memory of our own from a blob, and leaves untouched what is nothing but zeros. */
export function fillMemory(blob: string, address: number, size: number): void {
  const from = openSync(blob, "r");
  try {
    const chunk = Buffer.allocUnsafe(CHUNK);
    const zeros = Buffer.alloc(CHUNK);
    for (let at = 0; at < size; at += CHUNK) {
      const got = readSync(from, chunk, 0, Math.min(CHUNK, size - at), at);
      if (chunk.compare(zeros, 0, got, 0, got) !== 0) chunk.copy(viewMemory(address + at, got), 0, 0, got);
    }
  } finally {
    closeSync(from);
  }
}
