/** Locks that belong to an open file: flock(2), open file description locks and leases (fcntl(2)). */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { SyscallError, attempt, withStruct, withText } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { AT_FDCWD, F, O, O_ACCMODE } from "../../abi/fcntl.ts";
import { FLOCK_SIZE, LOCK, LOCK_TYPE, encodeFlock } from "../../abi/locks.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { parseLocks, type Lock } from "../../proc/locks.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileHolder } from "../contract.ts";
import { readOwner, setOwner } from "./signal-owner.ts";

const range = {
  access: v.picklist(["READ", "WRITE"]),
  /** First byte, decimal. */
  start: v.pipe(v.string(), v.regex(/^\d+$/)),
  /** Last byte; absent: to the end, wherever that is. */
  end: v.optional(v.pipe(v.string(), v.regex(/^\d+$/))),
};
export const rangeSchema = v.strictObject(range);
export type LockRange = v.InferOutput<typeof rangeSchema>;

export const locksSchema = v.array(
  v.strictObject({
    kind: v.picklist(["flock", "ofd", "lease"]),
    ...range,
    /** Someone waits for the lease to be given up or made one for reading; `access` is what it was before. */
    breakingTo: v.optional(v.picklist(["READ", "UNLCK"])),
  }),
);
export type FrozenLocks = v.InferOutput<typeof locksSchema>;

const KINDS: Readonly<Record<string, FrozenLocks[number]["kind"]>> = { FLOCK: "flock", OFDLCK: "ofd", LEASE: "lease" };

export function freezeLocks(file: OpenFile): FrozenLocks {
  return parseLocks(file.info).flatMap((lock) => {
    if (lock.type === "POSIX") return []; // It belongs to the process.
    const kind = KINDS[lock.type];
    if (kind === "lease" && lock.state === "BREAKER") return []; // Not held: someone's wait to open the file.
    if (kind === "lease" && lock.state === "BREAKING") return [breakingLease(file, lock)];
    if (!kind) throw unknownLock(file, lock);
    return [{ kind, ...toRange(file, lock) }];
  });
}

/** The kernel shows what a lease is to become. What it was follows from that and from how the file was opened. */
function breakingLease(file: OpenFile, lock: Lock): FrozenLocks[number] {
  if (lock.access !== "READ" && lock.access !== "UNLCK") throw unknownLock(file, lock);
  const reading = (file.info.flags & O_ACCMODE) === 0 && lock.access === "UNLCK";
  return { kind: "lease", access: reading ? "READ" : "WRITE", start: "0", breakingTo: lock.access };
}

export function toRange(file: OpenFile, lock: Lock): LockRange {
  if (lock.access !== "READ" && lock.access !== "WRITE") throw unknownLock(file, lock);
  return {
    access: lock.access,
    start: String(lock.start),
    ...(lock.end !== undefined && { end: String(lock.end) }),
  };
}

function unknownLock(file: OpenFile, lock: Lock): Refusal {
  return failures.LOCK_KIND({ file, type: lock.type, state: lock.state, access: lock.access });
}

/** Takes the locks again. Leases come last: whoever opens the file would break them. */
export function thawLocks(fd: LocalFd, locks: FrozenLocks, context: ThawContext, holder?: FileHolder): void {
  for (const lock of locks) {
    if (lock.kind === "lease") context.during("arm", () => takeLease(fd, lock, holder));
    else take(fd, lock);
  }
}

function take(fd: LocalFd, lock: FrozenLocks[number]): void {
  if (lock.kind === "flock") {
    const operation = lock.access === "WRITE" ? LOCK.LOCK_EX : LOCK.LOCK_SH;
    checkTaken("flock", attempt("flock", fd, operation | LOCK.LOCK_NB), lock);
  } else {
    withStruct(FLOCK_SIZE, (bytes, address) => {
      encodeRange(lock).copy(bytes);
      checkTaken("fcntl", attempt("fcntl", fd, F.F_OFD_SETLK, address), lock);
    });
  }
}

/**
 * By the process itself: the signal tells the number of the descriptor through which the lease was taken. Of a lease
 * that is being broken it has been told already: while that is done again, the file has no one to tell.
 */
function takeLease(fd: LocalFd, lock: FrozenLocks[number], holder: FileHolder | undefined): void {
  const { breakingTo } = lock;
  const owner = readOwner(fd);
  const taken = holder
    ? holder.process.scope.attempt("fcntl", holder.fd, F.F_SETLEASE, lockType(lock))
    : attempt("fcntl", fd, F.F_SETLEASE, lockType(lock));
  checkTaken("fcntl", taken, lock, holder?.process.pid);
  if (!breakingTo) return;
  setOwner(fd, { type: F_OWNER_PID, pid: 0, signal: 0 });
  const wanted = breakingTo === "READ" ? 0 : O.O_WRONLY;
  const broken = withText(`/proc/self/fd/${fd}`, (path) =>
    attempt("openat", AT_FDCWD, path, wanted | O.O_NONBLOCK | O.O_CLOEXEC, 0),
  );
  if (broken >= 0) closeSync(broken as LocalFd);
  if (owner) setOwner(fd, owner);
}
const F_OWNER_PID = 1;

function lockType({ access }: LockRange): number {
  return access === "WRITE" ? LOCK_TYPE.F_WRLCK : LOCK_TYPE.F_RDLCK;
}

/** A struct flock that asks for the lock. */
export function encodeRange(lock: LockRange): Buffer {
  const start = BigInt(lock.start);
  return encodeFlock(lockType(lock), start, lock.end === undefined ? 0n : BigInt(lock.end) - start + 1n);
}

/** Someone may have taken the lock while the processes were away. */
export function checkTaken(name: "flock" | "fcntl", result: number, lock: LockRange, pid?: number): void {
  if (result >= 0) return;
  if (result !== -ERRNO.EAGAIN && result !== -ERRNO.EACCES) throw new SyscallError(name, result, "Locking a file", pid);
  throw failures.LOCK_TAKEN({ start: lock.start, end: lock.end });
}
