/** Locks that belong to an open file: flock(2), open file description locks and leases (fcntl(2)). */
import * as v from "valibot";
import { attempt, SyscallError, withStruct } from "../../abi/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { F } from "../../abi/fcntl.ts";
import { encodeFlock, FLOCK_SIZE, LOCK, LOCK_TYPE } from "../../abi/locks.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { Refusal } from "../../lib/errors.ts";
import { parseLocks, type Lock } from "../../proc/locks.ts";
import type { OpenFile, ThawContext } from "../contract.ts";

const range = {
  access: v.picklist(["READ", "WRITE"]),
  /** First byte, decimal. */
  start: v.pipe(v.string(), v.regex(/^\d+$/)),
  /** Last byte; absent: to the end, wherever that is. */
  end: v.optional(v.pipe(v.string(), v.regex(/^\d+$/))),
};
export const rangeSchema = v.strictObject(range);
export type LockRange = v.InferOutput<typeof rangeSchema>;

export const locksSchema = v.array(v.strictObject({ kind: v.picklist(["flock", "ofd", "lease"]), ...range }));
export type FrozenLocks = v.InferOutput<typeof locksSchema>;

const KINDS: Readonly<Record<string, FrozenLocks[number]["kind"]>> = { FLOCK: "flock", OFDLCK: "ofd", LEASE: "lease" };

export function freezeLocks(file: OpenFile): FrozenLocks {
  return parseLocks(file.info).flatMap((lock) => {
    if (lock.type === "POSIX") return []; // It belongs to the process.
    const kind = KINDS[lock.type];
    if (!kind || (kind === "lease" && lock.state !== "ACTIVE")) throw unknownLock(file, lock);
    return [{ kind, ...toRange(file, lock) }];
  });
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
  return new Refusal(
    "LOCK_KIND",
    {
      what: `Process ${file.pid} (${file.command}) holds a lock that cannot be frozen.`,
      why: `Descriptor ${file.fd} (${file.link}) has a lock ${lock.type} ${lock.state} ${lock.access}.`,
      remedy:
        lock.type === "LEASE" ? "Try again when the lease has been given up." : "Let the program unlock it first.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "lock" },
  );
}

/** Takes the locks again. Leases come last: whoever opens the file would break them. */
export function thawLocks(fd: LocalFd, locks: FrozenLocks, context: ThawContext): void {
  for (const lock of locks) {
    if (lock.kind === "lease") context.atResume(() => take(fd, lock));
    else take(fd, lock);
  }
}

function take(fd: LocalFd, lock: FrozenLocks[number]): void {
  const type = lockType(lock);
  if (lock.kind === "flock") {
    const operation = lock.access === "WRITE" ? LOCK.LOCK_EX : LOCK.LOCK_SH;
    checkTaken("flock", attempt("flock", fd, operation | LOCK.LOCK_NB), lock);
  } else if (lock.kind === "lease") {
    checkTaken("fcntl", attempt("fcntl", fd, F.F_SETLEASE, type), lock);
  } else {
    withStruct(FLOCK_SIZE, (bytes, address) => {
      encodeRange(lock).copy(bytes);
      checkTaken("fcntl", attempt("fcntl", fd, F.F_OFD_SETLK, address), lock);
    });
  }
}

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
  throw new Refusal("LOCK_TAKEN", {
    what: "A lock that the processes held is taken.",
    why: `Another process has locked bytes ${lock.start} to ${lock.end ?? "the end"} of the file in the meantime.`,
    remedy: "End that process (lslocks shows it), then thaw again.",
  });
}
