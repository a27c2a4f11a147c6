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
