/** Names of unix sockets (unix(7)): in the file system, abstract, or none. */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { taskOf } from "../../../abi/living.ts";
import { attempt, call, withText } from "../../../abi/call.ts";
import { CLONE } from "../../../abi/clone.ts";
import { inMounts, inRoot, placed } from "../../../abi/namespaces.ts";
import { parseUnixName, unixAddress } from "../../../abi/sockaddr.ts";
import { SIOCUNIXFILE, useAddress } from "../../../abi/socket.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { KmonteError } from "../../../lib/errors.ts";
import type { UnixSocketInfo } from "../../../proc/unix-diag.ts";
import type { OpenFile, ThawContext } from "../../contract.ts";
import { linkedPath } from "../../objects/contents.ts";
import { inFolder as inGivenFolder } from "../../objects/gone-directory.ts";

const owned = { mode: v.number(), uid: v.number(), gid: v.number() };

export const nameSchema = v.strictObject({
  /** As bind(2) got it; `@` marks an abstract name, `\xNN` a byte that is no plain character. */
  name: v.string(),
  /** The directory that a relative path began in. */
  directory: v.optional(v.string()),
  /** The root directory that an absolute path began in, where it was not that of the namespace (chroot(2)). */
  root: v.optional(v.string()),
  /** The socket file, if the name still leads to it, with the directory that it lies in. */
  file: v.optional(v.strictObject({ ...owned, parent: v.strictObject(owned) })),
});
export type BoundName = v.InferOutput<typeof nameSchema>;

export function isPathName(name: string): boolean {
  return name !== "" && !name.startsWith("@");
}

/** Where the socket file of a name stands. */
export function pathOf({ name, directory, root }: Pick<BoundName, "name" | "directory" | "root">): string {
  const path = parseUnixName(name).toString();
  return isAbsolute(path) ? join(root ?? "/", path) : join(directory ?? "/", path);
}

/** The name of a socket, with the socket file that stands behind it. */
export function freezeName(file: OpenFile, info: UnixSocketInfo): BoundName | undefined {
  if (info.name === "") return undefined;
  if (!isPathName(info.name)) return { name: info.name };
  const name = parseUnixName(info.name).toString();
  const directory = name.startsWith("/") ? undefined : beginningOf(file, name);
  const root = directory === undefined ? rootOf(file, name) : undefined;
  const base = {
    name: info.name,
    ...(directory !== undefined && { directory }),
    ...(root !== undefined && { root }),
  };
  const path = placed(pathOf(base));
  const seen = lstatSync(path, { throwIfNoEntry: false });
  if (!seen?.isSocket() || seen.ino !== info.file?.inode) return base;
  return { ...base, file: { ...ownership(seen), parent: ownership(statSync(dirname(path))) } };
}

/**
 * The directory that a relative name began in: the kernel knows the file that bind(2) made. A name that leads upwards
 * says less than that; any directory below will do then, made for the moment if need be.
 */
function beginningOf(file: OpenFile, name: string): string {
  const cwd = readlinkSync(`/proc/${taskOf(file.pid)}/cwd`);
  const path = boundFile(file);
  if (path === undefined || join(cwd, name) === path) return cwd;
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  const up = parts.findIndex((part) => part !== "..");
  const rest = `/${parts.slice(up).join("/")}`;
  if (up < 0 || parts.slice(up).includes("..") || !path.endsWith(rest)) return cwd;
  return join(path.slice(0, -rest.length) || "/", ...Array.from({ length: up }, () => ".kmonte-here"));
}

/** Where an absolute name begins, when that is not the root of the namespace. */
function rootOf(file: OpenFile, name: string): string | undefined {
  const path = boundFile(file);
  return path !== undefined && path !== name && path.endsWith(name) ? path.slice(0, -name.length) : undefined;
}

/** Where the socket's file stands or stood; since Linux 4.12, for those who may administer the network. */
function boundFile({ local }: OpenFile): string | undefined {
  const fd = attempt("ioctl", local, SIOCUNIXFILE, 0);
  if (fd < 0) return undefined;
  try {
    return linkedPath(readlinkSync(`/proc/self/fd/${fd}`));
  } finally {
    closeSync(fd);
  }
}

function ownership(stats: { mode: number; uid: number; gid: number }): { mode: number; uid: number; gid: number } {
  return { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
}

/**
 * Binds a socket to its old name. A socket file that still stands there, left by the frozen program, is replaced; one
 * that had no file gets none. Returns what to do when nobody has to find the socket by its name any more.
 */
export function bindUnix(context: ThawContext, fd: LocalFd, bound: BoundName): () => void {
  const about = `Binding a socket to ${bound.name}`;
  if (!isPathName(bound.name)) {
    useAddress("bind", fd, unixAddress(bound.name), about);
    return () => undefined;
  }
  // Placed at each use: what is done later is done from elsewhere.
  const path = pathOf(bound);
  makeParent(context, path, bound);
  const other = lstatSync(placed(path), { throwIfNoEntry: false })?.isSocket() === false;
  if (other && bound.file) throw nameTaken(path);
  const aside = moveAside(context, path);
  inPlaceOf(bound, () => useAddress("bind", fd, unixAddress(bound.name), about));
  if (other && aside !== undefined) return hide(context, path, aside);
  context.undo(`socket file ${path}`, () => unlinkSync(placed(path)));
  if (bound.file) {
    const { mode, uid, gid } = bound.file;
    chownSync(placed(path), uid, gid);
    chmodSync(placed(path), mode);
    context.atResume(() => {
      if (aside !== undefined) unlinkSync(placed(aside));
    });
    return () => undefined;
  }
  const own = lstatSync(placed(path)).ino;
  return () => {
    // Another socket of the set may have the name by now.
    if (lstatSync(placed(path), { throwIfNoEntry: false })?.ino === own) {
      unlinkSync(placed(path));
      if (aside !== undefined) renameSync(placed(aside), placed(path));
    } else if (aside !== undefined) unlinkSync(placed(aside));
  };
}

/** Where the sockets are for the moment whose files are gone and whose names others have by now, by path. */
const hidden = new Map<string, string>();

/** What has the name by now gets it back at once: somebody may have to open it. */
function hide(context: ThawContext, path: string, aside: string): () => void {
  const place = `${path}.kmonte-${process.pid}-${(counter += 1)}`;
  const key = placed(path);
  renameSync(key, placed(place));
  context.undo(`socket file ${place}`, () => unlinkSync(placed(place)));
  renameSync(placed(aside), key);
  hidden.set(key, place);
  return () => {
    hidden.delete(key);
    unlinkSync(placed(place));
  };
}

/** By which name, from which directory, a socket can be connected to now. */
export function reachOf(bound: BoundName): Pick<BoundName, "name" | "directory"> {
  if (!isPathName(bound.name)) return bound;
  const path = pathOf(bound);
  const place = hidden.get(placed(path)) ?? (bound.root === undefined ? undefined : path);
  return place === undefined ? bound : { name: basename(place), directory: dirname(place) };
}

/** A socket file that is there for the thaw only is made by us, and has to let somebody else connect. */
export function lendFile(bound: BoundName, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  if (bound.file || !isPathName(bound.name)) return;
  const path = placed(pathOf(reachOf(bound)));
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) chownSync(path, uid, gid);
}

/** connect(2) by name. */
export function connectUnix(fd: LocalFd, bound: BoundName): void {
  const { name, directory } = reachOf(bound);
  inPlaceOf({ directory }, () => useAddress("connect", fd, unixAddress(name), `Connecting a socket to ${bound.name}`));
}

function makeParent(context: ThawContext, path: string, { file }: BoundName): void {
  const parent = dirname(path);
  if (existsSync(placed(parent))) return;
  const first = mkdirSync(placed(parent), { recursive: true });
  if (!file || first === undefined) return;
  chownSync(placed(parent), file.parent.uid, file.parent.gid);
  chmodSync(placed(parent), file.parent.mode);
  context.undo(`directory ${first}`, () => undefined);
}

function moveAside(context: ThawContext, path: string): string | undefined {
  const there = lstatSync(placed(path), { throwIfNoEntry: false });
  if (!there) return undefined;
  const aside = `${path}.kmonte-${process.pid}-${(counter += 1)}`;
  renameSync(placed(path), placed(aside));
  context.undo(`socket file ${path}`, () => {
    if (existsSync(placed(aside))) renameSync(placed(aside), placed(path));
  });
  return aside;
}
let counter = 0;

function nameTaken(path: string): KmonteError {
  return new KmonteError(
    "SOCKET_NAME_TAKEN",
    {
      what: `A socket cannot get its name ${path} back.`,
      why: "Something that is not a socket stands there.",
      remedy: "Move it away.",
    },
    { kind: "refused", facts: { path } },
  );
}

let ownDirectory = false;

/** Does something where a name begins, in a working directory and root of this thread alone (unshare(2), CLONE_FS). */
export function inPlaceOf({ directory, root }: Pick<BoundName, "directory" | "root">, action: () => void): void {
  if (root === undefined) inRoot(() => inFolder(directory, action));
  else inMounts(placed(root), () => inRoot(action));
}

function inFolder(directory: string | undefined, action: () => void): void {
  if (directory === undefined) {
    action();
    return;
  }
  if (!ownDirectory) call("unshare", "Having a working directory of our own", CLONE.FS);
  ownDirectory = true;
  const before = openSync(".", "r");
  // Programs bind by names that begin in directories that are gone by now.
  inGivenFolder(directory, () => {
    try {
      withText(directory, (address) => call("chdir", `Going to ${directory}`, address));
      action();
    } finally {
      call("fchdir", "Going back", before);
      closeSync(before);
    }
  });
}
