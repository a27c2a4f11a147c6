/**
 * Making something in a folder, whoever thaws: with our rights in the very same folder as at the freeze or in one that
 * nobody but root can have put there, and with those of the processes else (`reopen.ts`).
 */
import { closeSync } from "node:fs";
import { basename, dirname } from "node:path";
import { SyscallError, attempt, call, withText } from "../../sys/call.ts";
import { AT_REMOVEDIR, O } from "../../abi/fcntl.ts";
import { type FileIdentity, identityOf } from "../../sys/file-identity.ts";
import { type Rights, isForUser, withRights } from "../../sys/identity.ts";
import type { MountView, ProcPath } from "../../sys/mount-view.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../thaw-context.ts";
import { Refusal } from "../../errors/failure.ts";
import { Defect } from "../../errors/wrong-input.ts";
import { linkedPath } from "./contents.ts";
import { checkAccess, find, isSame, openForAll, replaced, type Opener, type Place } from "./reopen.ts";
import { openCanonical, openPath } from "./path-file.ts";

/** The folder in which something stands or stood whose name is gone, if it is there still. */
export function folderOf(mounts: MountView, link: string): { readonly parentDirectory?: FileIdentity } {
  const path = dirname(linkedPath(link));
  if (!path.startsWith("/")) return {};
  try {
    const fd = openCanonical(mounts, path, O.O_PATH | O.O_DIRECTORY);
    try {
      return { parentDirectory: identityOf(fd) };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (error instanceof SyscallError) return {};
    throw error;
  }
}

/**
 * Runs `make` to make something in a folder: `at` is a way to it for the time of the call. In the very same folder as at
 * the freeze, or one that nobody but root could have put there, it is made with our rights, and with those of one of
 * the processes else. Folders that are missing are made, and gone again afterwards unless `stays`.
 */
export function createInDirectory<T>(
  context: Opener,
  place: Place,
  make: (at: ProcPath) => T,
  stays?: (at: ProcPath) => void,
): T {
  const { fd, safe, made } = openFolder(context, place);
  const act = <R>(action: () => R): R => actIn(context, place, safe, action);
  try {
    const result = act(() => make(`/proc/self/fd/${fd}`));
    if (stays && made.length > 0) stays(`/proc/self/fd/${fd}`);
    return result;
  } finally {
    closeSync(fd);
    for (const { parent, name } of made.toReversed()) {
      if (!stays) act(() => withText(name, (text) => attempt("unlinkat", parent, text, AT_REMOVEDIR)));
      closeSync(parent);
    }
  }
}

interface Folder {
  readonly fd: LocalFd;
  /** Whether our own rights may be used in it. */
  readonly safe: boolean;
  /** Those that had to be made, outermost first. */
  readonly made: readonly { readonly parent: LocalFd; readonly name: string }[];
}

/** The folder itself; the caller closes `fd` and the parents of what was made. */
function openFolder(context: Opener, place: Place): Folder {
  const { path } = place;
  const found = attemptFolder(context.mounts, path);
  if (found !== undefined) {
    const safe = isSame(context, place, found) || isRootsWay(context.mounts, path, found);
    return { fd: found, safe, made: [] };
  }
  if (path === "/") throw new Defect("there is no root directory");
  const above = openFolder(context, { path: dirname(path) });
  const name = basename(path);
  const act = <R>(action: () => R): R => actIn(context, place, above.safe, action);
  act(() => withText(name, (text) => call("mkdirat", `Making ${path}`, above.fd, text, 0o777)));
  const fd = act(() => openPath(`/proc/self/fd/${above.fd}/${name}`, O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW));
  return { fd, safe: above.safe, made: [...above.made, { parent: above.fd, name }] };
}

/** With our rights where the folder is safe, and else with those of one of the processes. */
function actIn<R>(context: Opener, place: Place, safe: boolean, action: () => R): R {
  if (safe || isForUser()) return action();
  const rights = maker(context, place);
  try {
    return withRights(rights, action);
  } catch (error) {
    const errno = error instanceof SyscallError ? error.errno : (error as NodeJS.ErrnoException).code;
    if (errno !== "EACCES" && errno !== "EPERM") throw error;
    const why = `It is another folder, and making something in it with the rights of user ${rights.uid} failed with ${errno}.`;
    throw replaced(place.path, why, error);
  }
}

/** What stands in the way of making something in a folder; nothing does where it is missing, and only its use tells. */
export function checkFolder(context: Opener, place: Place): Refusal | undefined {
  try {
    const found = attemptFolder(context.mounts, place.path);
    if (found === undefined) return undefined;
    try {
      if (isSame(context, place, found) || isRootsWay(context.mounts, place.path, found)) return undefined;
      const rights = maker(context, place);
      closeSync(withRights(rights, () => checkAccess(context.mounts, place, O.O_DIRECTORY | O.O_WRONLY, rights)));
    } finally {
      closeSync(found);
    }
  } catch (error) {
    if (error instanceof Refusal) return error;
    if (!(error instanceof SyscallError)) throw error;
  }
  return undefined;
}

/** A folder in which something is done now and later. */
export interface Workplace {
  /** The folder, and a way to it, as long as the thaw lasts. */
  readonly folder: LocalFd;
  readonly at: ProcPath;
  /** Whose rights are used in it; undefined for ours. */
  readonly rights: Rights | undefined;
  act<T>(action: () => T): T;
}

/** Opens a folder until the thaw has ended; what is missing is made, and `made` is told of the last of what was. */
export function workIn(context: ThawContext, place: Place, made: (folder: LocalFd) => void): Workplace {
  const folder = openOrFollow(context, place);
  const fd = context.keep(folder.fd);
  for (const { parent } of folder.made) closeSync(parent);
  if (folder.made.length > 0) made(fd);
  return {
    folder: fd,
    at: `/proc/self/fd/${fd}`,
    rights: folder.safe || isForUser() ? undefined : maker(context, place),
    act: (action) => actIn(context, place, folder.safe, action),
  };
}

/** A path as a program wrote it may hold links: where none are known to be its own, its rights follow them. */
function openOrFollow(context: Opener, place: Place): Folder {
  try {
    return openFolder(context, place);
  } catch (error) {
    if (!(error instanceof Refusal) || place.identity !== undefined || isForUser()) throw error;
    const flags = O.O_PATH | O.O_DIRECTORY;
    const fd = withRights(maker(context, place), () => openPath(context.mounts.at(place.path), flags));
    return { fd, safe: false, made: [] };
  }
}

function attemptFolder(mounts: MountView, path: string): LocalFd | undefined {
  try {
    if (isForUser()) return openPath(mounts.at(path), O.O_PATH | O.O_DIRECTORY);
    return find(mounts, path, O.O_DIRECTORY);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === "ENOENT") return undefined;
    throw error;
  }
}

/** Whose rights are used where ours must not be: those of somebody else than root, if there is one. */
function maker({ holders }: Opener, { path }: Place): Rights {
  const rights = holders.find(({ uid }) => uid !== 0) ?? holders[0];
  if (!rights) throw replaced(path, "It is another folder, and nobody is known who may make something in it.");
  return rights;
}

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** Whether nobody but root can have changed where a path leads: all folders on the way, and the folder itself, are root's. */
export function isRootsWay(mounts: MountView, path: string, folder = attemptFolder(mounts, path)): boolean {
  if (folder === undefined) return false;
  const itself = fstat(folder);
  if (itself.uid !== 0 || ((itself.mode & WRITABLE_BY_OTHERS) !== 0 && (itself.mode & STICKY) === 0)) return false;
  if (path === "/") return true;
  const above = attemptFolder(mounts, dirname(path));
  if (above === undefined) return false;
  try {
    return isRootsWay(mounts, dirname(path), above);
  } finally {
    closeSync(above);
  }
}

/**
 * What is mounted elsewhere: found with O_PATH, the very same or what nobody but root can have put there, or else
 * within reach of the processes. The caller closes it.
 */
export function findToMount(context: Opener, place: Place): LocalFd {
  const found = find(context.mounts, place.path, O.O_PATH);
  if (isSame(context, place, found) || isRootsWay(context.mounts, dirname(place.path))) return found;
  closeSync(found);
  return openForAll(context.holders, place.path, () => openCanonical(context.mounts, place.path, O.O_PATH));
}
