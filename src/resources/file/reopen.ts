/**
 * Opening by its path what the processes had open, whoever thaws: the very same file as at the freeze, or what every
 * process that has it may open with its own rights. Paths in images hold no symbolic links (proc_pid_fd(5)): one that
 * does by now is refused. Looked at and used is one descriptor, so that nothing can be put in between.
 */
import { closeSync } from "node:fs";
import { SyscallError, attempt, withText } from "../../sys/call.ts";
import { errnoName } from "../../abi/errno.ts";
import { AT_EACCESS, AT_EMPTY_PATH, O, O_ACCMODE } from "../../abi/fcntl.ts";
import { type FileIdentity, identityOf, isSameFile } from "../../sys/file-identity.ts";
import { type Rights, isForUser, withRights } from "../../sys/identity.ts";
import type { MountView, OwnPath } from "../../sys/mount-view.ts";
import { PROC_SUPER_MAGIC, S_IF } from "../../abi/stat.ts";
import { fileSystemOf, fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../thaw-context.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { openCanonical, openPath } from "./path-file.ts";

/** Where something stood, and which file it was; images from before that was kept do not say. */
export interface Place {
  readonly path: string;
  readonly identity?: FileIdentity | undefined;
  /** Of a device node, whose driver is what counts: `major:minor`. */
  readonly device?: string | undefined;
}

/** Which file a way leads to, such as a magic link of /proc. */
export function identityAt(via: OwnPath): FileIdentity {
  const fd = openPath(via, O.O_PATH);
  try {
    return identityOf(fd);
  } finally {
    closeSync(fd);
  }
}

/** What a thaw must tell of itself for files to be opened for its processes. */
export type Opener = Pick<ThawContext, "holders" | "isMadeHere" | "mounts" | "note">;

/** Opens it with these flags of open(2). Throws a {@link Refusal} (FILE_REPLACED) where the processes may not open it. */
export function reopen(context: Opener, place: Place, flags: number): LocalFd {
  // All is the user's own, and opened with this user's rights.
  if (isForUser()) return openPath(context.mounts.at(place.path), flags);
  const found = find(context.mounts, place.path, flags);
  if (isSame(context, place, found)) return reopenFound(context.mounts, place, found, flags);
  try {
    refuseWaiting(place, found);
    const opened = openForAll(context.holders, place.path, () => openUnwaiting(context.mounts, place, flags));
    noteAnother(context, place);
    return opened;
  } finally {
    closeSync(found);
  }
}

/**
 * The same with O_PATH, for what is opened several times: a file that all the processes may open with `flags`, whatever
 * else they do with it. The caller closes it.
 */
export function findToReopen(context: Opener, place: Place, flags: number): LocalFd {
  if (isForUser()) return openPath(context.mounts.at(place.path), O.O_PATH | O.O_NOFOLLOW);
  const found = find(context.mounts, place.path, O.O_PATH | O.O_NOFOLLOW);
  try {
    if (isSame(context, place, found)) return found;
    if (context.holders.length === 0) throw replaced(place.path, NOBODY);
    for (const rights of context.holders) {
      const theirs = withRights(rights, () => checkAccess(context.mounts, place, flags, rights));
      try {
        refuseOther(place.path, found, theirs);
      } finally {
        closeSync(theirs);
      }
    }
    noteAnother(context, place);
    return found;
  } catch (error) {
    closeSync(found);
    throw error;
  }
}

/** Where it is known which file it was: a person may wonder at what the programs do with another. */
function noteAnother(context: Opener, { path, identity }: Place): void {
  if (identity)
    context.note(`${path} is another file than at the freeze; it was opened with the rights of its processes.`);
}

/** Both descriptors must lead to one file. */
export function refuseOther(path: string, a: LocalFd, b: LocalFd): void {
  const [one, other] = [fstat(a), fstat(b)];
  if (one.inode !== other.inode || one.device !== other.device) throw replaced(path, "It is being replaced right now.");
}

/** What stands in the way of {@link reopen}, asked before anything is made; undefined too when it is missing. */
export function checkReopen(context: Opener, place: Place, flags: number): Refusal | undefined {
  try {
    const found = find(context.mounts, place.path, flags);
    try {
      if (isSame(context, place, found)) return undefined;
      if ((flags & O.O_NONBLOCK) === 0) refuseWaiting(place, found);
    } finally {
      closeSync(found);
    }
    for (const rights of context.holders)
      closeSync(withRights(rights, () => checkAccess(context.mounts, place, flags, rights)));
  } catch (error) {
    if (error instanceof Refusal) return error;
    if (!(error instanceof SyscallError)) throw error;
  }
  return undefined;
}

/** The file of now, with O_PATH. */
export function find(mounts: MountView, path: string, flags: number): LocalFd {
  const how = (flags & O.O_PATH) === 0 ? 0 : flags & O.O_NOFOLLOW;
  try {
    return openCanonical(mounts, path, O.O_PATH | (flags & O.O_DIRECTORY) | how);
  } catch (error) {
    throw error instanceof SyscallError && error.errno === "ELOOP" ? replaced(path, LINKED, error) : error;
  }
}

const NOBODY = "It is another file, and nobody is known who may open it.";
const LINKED = "A symbolic link stands in its place, or on the way to it.";

export function isSame(context: Opener, { identity, device }: Place, found: LocalFd): boolean {
  const seen = fstat(found);
  if (context.isMadeHere(found)) return true;
  if (device !== undefined && (seen.type === S_IF.S_IFCHR || seen.type === S_IF.S_IFBLK))
    return seen.deviceNode === device;
  return identity !== undefined && isSameFile(identity, identityOf(found));
}

/** A FIFO would let us wait for its other end. */
function refuseWaiting({ path }: Place, found: LocalFd): void {
  if (fstat(found).type === S_IF.S_IFIFO) throw replaced(path, "A FIFO stands in its place.");
}

/** The file that was looked at, through its descriptor, which is closed. */
function reopenFound(mounts: MountView, { path }: Place, found: LocalFd, flags: number): LocalFd {
  if ((flags & O.O_PATH) !== 0) return found;
  try {
    if ((flags & O.O_NOFOLLOW) === 0) return openPath(`/proc/self/fd/${found}`, flags);
    // That flag shows, and no magic link is followed with it: by its name once more, and it must be the same.
    const named = openCanonical(mounts, path, flags);
    try {
      refuseOther(path, found, named);
    } catch (error) {
      closeSync(named);
      throw error;
    }
    return named;
  } finally {
    closeSync(found);
  }
}

/** Opened with the rights of each of them in turn: all must get the same. */
export function openForAll(holders: readonly Rights[], path: string, open: () => LocalFd): LocalFd {
  if (holders.length === 0) throw replaced(path, NOBODY);
  let first: LocalFd | undefined;
  for (const rights of holders) {
    const fd = openAs(rights, path, open);
    if (first === undefined) {
      first = fd;
      continue;
    }
    try {
      refuseOther(path, first, fd);
    } catch (error) {
      closeSync(first);
      throw error;
    } finally {
      closeSync(fd);
    }
  }
  return first as LocalFd;
}

function openAs(rights: Rights, path: string, open: () => LocalFd): LocalFd {
  try {
    return withRights(rights, open);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    // Only its owner may ask for O_NOATIME: whoever asks does without it.
    if (error.errno === "EPERM") throw error;
    throw replaced(path, failed(rights, error.errno), error);
  }
}

/** What has come into its place must not let us wait. The caller sets the flags that the file had. */
function openUnwaiting(mounts: MountView, { path }: Place, flags: number): LocalFd {
  return openCanonical(mounts, path, (flags & O.O_PATH) === 0 ? flags | O.O_NONBLOCK : flags);
}

/** Opens what lies on the file system proc, which shows the same under the same path. */
export function openOnProc(mounts: MountView, path: string, flags: number): LocalFd {
  if (isForUser()) return openPath(mounts.at(path), flags);
  const found = find(mounts, path, flags);
  if (fileSystemOf(found) === PROC_SUPER_MAGIC) return reopenFound(mounts, { path }, found, flags);
  closeSync(found);
  throw replaced(path, "It lies on another file system than proc.");
}

/** What is known by another way than its path must be the very same, or all processes that have it may open it so. */
export function refuseUnlessTheirs(context: Opener, place: Place, found: LocalFd, flags: number): void {
  if (isForUser() || isSame(context, place, found)) return;
  if (context.holders.length === 0) throw replaced(place.path, NOBODY);
  for (const rights of context.holders) withRights(rights, () => refuseAccess(place.path, found, flags, rights));
}

const ACCESS = [4, 2, 6, 6];

/** What is found with these rights, if they let it be opened with `flags`. The caller closes it. */
export function checkAccess(mounts: MountView, { path }: Place, flags: number, rights: Rights): LocalFd {
  let fd: LocalFd;
  try {
    fd = find(mounts, path, flags);
  } catch (error) {
    throw error instanceof SyscallError ? replaced(path, failed(rights, error.errno), error) : error;
  }
  try {
    refuseAccess(path, fd, flags, rights);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** faccessat2(2) with the rights of now. */
function refuseAccess(path: string, fd: LocalFd, flags: number, rights: Rights): void {
  const access = (flags & O.O_PATH) === 0 ? (ACCESS[flags & O_ACCMODE] as number) : 0;
  const result = withText("", (empty) => attempt("faccessat2", fd, empty, access, AT_EACCESS | AT_EMPTY_PATH));
  if (result < 0) throw replaced(path, failed(rights, errnoName(result)));
}

const failed = ({ uid }: Rights, errno: string): string =>
  `It is another file, and opening it with the rights of user ${uid}, who had it open, failed with ${errno}.`;

export function replaced(path: string, why: string, cause?: unknown): Refusal {
  return failures.FILE_REPLACED({ path, why, cause });
}
