/** Locks on files: flock(2), fcntl(2) (include/uapi/asm-generic/fcntl.h, x86-64). */
import { SEEK } from "./fcntl.ts";

export const LOCK = { LOCK_SH: 1, LOCK_EX: 2, LOCK_NB: 4 } as const;
/** Whoever does not get it at once does without. */
export const LOCK_EX_NB = LOCK.LOCK_EX | LOCK.LOCK_NB;
export const LOCK_TYPE = { F_RDLCK: 0, F_WRLCK: 1 } as const;

/** Struct flock. A length of 0 reaches to the end of the file, however far that moves. */
export const FLOCK_SIZE = 32;

export function encodeFlock(type: number, start: bigint, length: bigint): Buffer {
  const bytes = Buffer.alloc(FLOCK_SIZE);
  bytes.writeInt16LE(type, 0);
  bytes.writeInt16LE(SEEK.SEEK_SET, 2);
  bytes.writeBigInt64LE(start, 8);
  bytes.writeBigInt64LE(length, 16);
  return bytes;
}
