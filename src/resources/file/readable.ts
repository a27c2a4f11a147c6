/**
 * Reading the contents of what is open, for whoever asked for the freeze. For an ordinary user, contents are read
 * through a descriptor of the set that was opened for reading, or where the kernel lets that user alone open them
 * (open(2) through /proc/self/fd). A mapping of a program's file is no proof: execve(2) maps what may be executed and
 * not read. What has only been opened for writing, or with O_PATH, may be somebody else's secret.
 */
import { closeSync } from "node:fs";
import type { OwnPath, ProcPath } from "../../sys/mount-view.ts";
import { SyscallError, attempt, withText } from "../../sys/call.ts";
import { errnoName } from "../../abi/errno.ts";
import { AT_EACCESS, AT_EMPTY_PATH, O, O_ACCMODE, R_OK } from "../../abi/fcntl.ts";
import { type Identity, asUser, asUserAlone } from "../../sys/identity.ts";
import type { FileStat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FreezeContext, OpenFile } from "../freeze-context.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { openPath } from "./path-file.ts";

declare const readable: unique symbol;
/** A descriptor of ours whose contents may be read for whoever asked for the freeze: {@link openToRead} gives it. */
export type ReadableFd = LocalFd & { readonly [readable]: true };

/** A way to an open file, and who uses it. */
export interface Way {
  /** A magic link of /proc that leads to the file itself. */
  readonly via: OwnPath;
  readonly link: string;
  readonly stat: Pick<FileStat, "device" | "inode">;
  readonly pid: number;
  readonly command: string;
  /** It is a shared mapping (MAP_SHARED), which mmap(2) gives to none but those who may read the file. */
  readonly mappedToRead?: boolean | undefined;
}

/** Whether a descriptor may read: one of O_PATH, or for writing only, may not. */
export function reads({ info }: Pick<OpenFile, "info">): boolean {
  return (info.flags & O.O_PATH) === 0 && (info.flags & O_ACCMODE) !== O.O_WRONLY;
}

/**
 * Opens contents for reading, with these flags of open(2). Throws a {@link Refusal} (NOT_YOURS) for a user who could
 * not read them. The caller closes it.
 */
export function openToRead(context: FreezeContext, way: Way, flags: number): ReadableFd {
  if (context.user === undefined || way.mappedToRead === true) return openPath(way.via, flags) as ReadableFd;
  const held = heldToRead(context, way);
  // What is read is what that descriptor leads to, whatever else may have the same numbers.
  if (held !== undefined) return openPath(held, flags) as ReadableFd;
  const proof = openAsUser(context, way);
  try {
    return openPath(`/proc/self/fd/${proof}`, flags) as ReadableFd;
  } finally {
    closeSync(proof);
  }
}

/** A way to the file by a descriptor of the set that reads. */
function heldToRead(context: FreezeContext, { stat: { inode, device } }: Way): ProcPath | undefined {
  const held = context
    .openFiles()
    .find(([, file]) => file.stat.inode === inode && file.stat.device === device && reads(file));
  return held && `/proc/self/fd/${held[1].local}`;
}

/**
 * The same, opened when it is read: whoever watches a file is told of its opening (inotify(7)). Whether it may be read
 * is asked at once.
 */
export function openToReadLater(context: FreezeContext, way: Way, flags: number): { readonly fd: ReadableFd } {
  const held = context.user === undefined ? undefined : heldToRead(context, way);
  const file = context.keep(openPath(held ?? way.via, O.O_PATH));
  if (context.user !== undefined && held === undefined) refuseUnreadable(context.user, way, file);
  let opened: LocalFd | undefined;
  return {
    get fd() {
      opened ??= context.keep(openPath(`/proc/self/fd/${file}`, flags));
      return opened as ReadableFd;
    },
  };
}

/** faccessat2(2) as the user alone. */
function refuseUnreadable(user: Identity, way: Way, file: LocalFd): void {
  const ask = (): number =>
    withText("", (empty) => attempt("faccessat2", file, empty, R_OK, AT_EACCESS | AT_EMPTY_PATH));
  const result = asUser(user, () => asUserAlone(ask));
  if (result < 0) throw notReadable(way, `To read ${way.link} with its user's rights fails with ${errnoName(result)}.`);
}

/** open(2) as the user alone, of the file itself. */
function openAsUser(context: FreezeContext, way: Way): LocalFd {
  const file = openPath(way.via, O.O_PATH);
  try {
    return asUser(context.user, () => openPath(`/proc/self/fd/${file}`, O.O_NONBLOCK));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw notReadable(
      way,
      `${way.link} was opened for writing or with O_PATH only, or is mapped; to read it failed with ${error.errno}.`,
      error,
    );
  } finally {
    closeSync(file);
  }
}

/** What nobody has worked out for ordinary users is read for root alone. */
export function forRootOnly(context: FreezeContext, fd: LocalFd): ReadableFd {
  if (context.user === undefined) return fd as ReadableFd;
  closeSync(fd);
  throw failures.NOT_YOURS_TO_READ.sharedMemory();
}

/** What holds something that the user who asked may not read. */
export function notReadable({ pid, command, link }: Omit<Way, "via" | "stat">, why: string, cause?: unknown): Refusal {
  return failures.NOT_YOURS_TO_READ.file({ pid, command, why, link, cause });
}
