/** `lock:` lines of fdinfo, which look like lines of /proc/locks (proc_locks(5)). */
import type { FdInfo } from "./fdinfo.ts";

export interface Lock {
  /** FLOCK, POSIX, OFDLCK, LEASE or DELEG. */
  readonly type: string;
  /** ADVISORY, MANDATORY; of a lease: ACTIVE, BREAKING, BREAKER. */
  readonly state: string;
  /** READ, WRITE, UNLCK … */
  readonly access: string;
  readonly start: bigint;
  /** The last byte; undefined when it reaches to the end of the file. */
  readonly end: bigint | undefined;
}

export function parseLocks(info: FdInfo): Lock[] {
  return info.rest.flatMap(([name, value]) => {
    if (name !== "lock") return [];
    const [, type = "", state = "", access = "", , , start = "0", end = "EOF"] = value.trim().split(/\s+/);
    return [{ type, state, access, start: BigInt(start), end: end === "EOF" ? undefined : BigInt(end) }];
  });
}

/** The inodes of a file system, `major:minor`, that somebody holds a lease on: from /proc/locks. */
export function leasedFiles(text: string, device: string): ReadonlySet<bigint> {
  const inodes = new Set<bigint>();
  for (const [, major = "", minor = "", inode = ""] of text.matchAll(/\bLEASE .*? (\w+):(\w+):(\d+) /g)) {
    if (`${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}` === device) inodes.add(BigInt(inode));
  }
  return inodes;
}
