/** What stands at a path of the machine: looked at and used through one descriptor, no symbolic link on the way. */
import { closeSync } from "node:fs";
import { SyscallError } from "../../sys/call.ts";
import { OWN_VIEW, type ProcPath } from "../../sys/mount-view.ts";
import { O } from "../../abi/fcntl.ts";
import { type FileStat, fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { openCanonical } from "../file/path-file.ts";

export class Found implements Disposable {
  /** Opened for its name only (O_PATH). */
  readonly fd: LocalFd;
  readonly stat: FileStat;

  constructor(fd: LocalFd) {
    this.fd = fd;
    this.stat = fstat(fd);
  }

  /** A way to it. */
  get via(): ProcPath {
    return `/proc/self/fd/${this.fd}`;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

/** Undefined when nothing stands there; throws a {@link SyscallError} (ELOOP) where a link is on the way. */
export function find(path: string): Found | undefined {
  try {
    return new Found(openCanonical(OWN_VIEW, path, O.O_PATH | O.O_NOFOLLOW));
  } catch (error) {
    if (error instanceof SyscallError && (error.errno === "ENOENT" || error.errno === "ENOTDIR")) return undefined;
    throw error;
  }
}
