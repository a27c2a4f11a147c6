/** Names of unix sockets (unix(7)): in the file system, abstract, or none. */
import { closeSync, type BigIntStats } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { lstatSync, openSync, readlinkSync, renameSync, statSync, unlinkSync } from "../../../sys/files.ts";
import { procPath } from "../../../sys/task.ts";
import { attempt, call } from "../../../sys/call.ts";
import { CLONE } from "../../../abi/clone.ts";
import { O } from "../../../abi/fcntl.ts";
import { withOurRights, withRights } from "../../../sys/identity.ts";
import { outOfRoot, OWN_VIEW, type OwnPath, type ProcPath } from "../../../sys/mount-view.ts";
import { parseUnixName, unixAddress } from "../../../abi/sockaddr.ts";
import { SIOCUNIXFILE } from "../../../abi/socket.ts";
import { useAddress } from "../../../sys/socket.ts";
import { fstat } from "../../../sys/stat.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { failures } from "../../../errors/catalogue.ts";
import type { KmonteError } from "../../../errors/failure.ts";
import type { UnixSocketInfo } from "../../../proc/unix-diag.ts";
import type { OpenFile } from "../../freeze-context.ts";
import type { ThawContext } from "../../thaw-context.ts";
import { Memo } from "../../memo.ts";
import { linkedPath } from "../../file/contents.ts";
import { carryingOf } from "../../volatile/collect.ts";
import { machinePathOfName } from "../../volatile/machine-path.ts";
import { ownOpen } from "../../file/unlinked-special.ts";
import { identitySchema } from "../../file/identity-schema.ts";
import { identityAt, type Place } from "../../file/reopen.ts";
import { createInDirectory, workIn, type Workplace } from "../../file/create-in-directory.ts";
import { bindByOwnName, freezeOwnName, isOwnName, ownNameSchema } from "./own-name.ts";

const owned = { mode: v.number(), uid: v.number(), gid: v.number() };

export const nameSchema = v.strictObject({
  /** As bind(2) got it; `@` marks an abstract name, `\xNN` a byte that is no plain character. */
  name: v.string(),
  /** The directory that a relative path began in. */
  directory: v.optional(v.string()),
  /** The root directory that an absolute path began in, where it was not that of the namespace (chroot(2)). */
  root: v.optional(v.string()),
  /** For a name that only the process itself understands. */
  ownName: v.optional(ownNameSchema),
  /** The socket file, if the name still leads to it, with the directory that it lies in. */
  file: v.optional(
    v.strictObject({
      ...owned,
      /** `path`: as the kernel has it, without links. */
      parent: v.strictObject({ ...owned, path: v.optional(v.string()), identity: v.optional(identitySchema) }),
    }),
  ),
});
export type BoundName = v.InferOutput<typeof nameSchema>;

export function isPathName(name: string): boolean {
  return name !== "" && !name.startsWith("@");
}

function pathOf({
  name,
  directory,
  root,
  ownName,
}: Pick<BoundName, "name" | "directory" | "root" | "ownName">): string {
  if (ownName) return join(ownName.directory, ownName.rest);
  const path = parseUnixName(name).toString();
  return isAbsolute(path) ? join(root ?? "/", path) : join(directory ?? "/", path);
}

/** The name of a socket, with the socket file that stands behind it. */
export function freezeName(file: OpenFile, info: UnixSocketInfo): BoundName | undefined {
  if (info.name === "") return undefined;
  if (!isPathName(info.name)) return { name: info.name };
  const name = parseUnixName(info.name).toString();
  const base = { name: info.name, ...placeOf(file, name) };
  const own = pathOf(base);
  const parentHere = machinePathOfName(file.context, file.task, dirname(own));
  if (parentHere !== undefined) carryingOf(file.context).above(join(parentHere, basename(own)));
  const { mounts } = file.context;
  const path = mounts.at(own);
  const seen = lstatSync(path, { throwIfNoEntry: false });
  if (!seen?.isSocket() || seen.ino !== info.file?.inode) return base;
  const canonical = boundFile(file);
  const parent = {
    ...ownership(statSync(mounts.at(dirname(own)))),
    ...(canonical !== undefined && { path: dirname(canonical), identity: identityAt(mounts.at(dirname(own))) }),
  };
  return { ...base, file: { ...ownership(seen), parent } };
}

/** What a name means only together with. */
function placeOf(file: OpenFile, name: string): Pick<BoundName, "directory" | "root" | "ownName"> {
  if (isOwnName(name)) return { ownName: freezeOwnName(file, name, boundFile(file)) };
  if (!name.startsWith("/")) return { directory: beginningOf(file, name) };
  const root = rootOf(file, name);
  return root === undefined ? {} : { root };
}

/**
 * The directory that a relative name began in: the kernel knows the file that bind(2) made. A name that leads upwards
 * says less than that; any directory below will do then, made for the moment if need be.
 */
function beginningOf(file: OpenFile, name: string): string {
  const cwd = readlinkSync(procPath(file.task, "cwd"));
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
  return outOfRoot(() => bindInFolder(context, fd, bound, about));
}

function bindInFolder(context: ThawContext, fd: LocalFd, bound: BoundName, about: string): () => void {
  // Looked up and changed in one and the same folder, whatever its path leads to later.
  const path = pathOf(bound);
  const workplace = workIn(context, folderOfName(path, bound), (made) => {
    if (bound.file) ownOpen(made, bound.file.parent);
  });
  const here = `${workplace.at}/${basename(path)}` as const;
  // What is done later may be done from within another root.
  const act: Act = (action) => outOfRoot(() => workplace.act(action));
  const other = act(() => lookAt(here)?.isSocket()) === false;
  if (other && bound.file) throw failures.SOCKET_NAME_TAKEN({ path });
  const aside = act(() => moveAside(context, act, here));
  if (bound.ownName) bindByOwnName(context, fd, { ...bound.ownName, name: bound.name }, workplace);
  else inPlaceOf(context, bound, () => workplace.act(() => useAddress("bind", fd, unixAddress(bound.name), about)));
  const made = context.keep(call("ioctl", about, fd, SIOCUNIXFILE, 0) as LocalFd);
  const own = fstat(made).inode;
  if (act(() => lookAt(here))?.ino !== own) throw misplaced(path, made);
  if (other && aside !== undefined) return hide(context, act, path, here, aside);
  const unlinkOwn = (): void => {
    if (lookAt(here)?.ino === own) unlinkSync(here);
  };
  context.undo(`socket file ${path}`, () => act(unlinkOwn));
  if (bound.file) {
    ownOpen(made, bound.file);
    context.during("arm", () => {
      if (aside !== undefined) act(() => unlinkSync(aside));
    });
    return () => undefined;
  }
  return () =>
    act(() => {
      // Another socket of the set may have the name by now.
      if (lookAt(here)?.ino === own) {
        unlinkSync(here);
        if (aside !== undefined) renameSync(aside, here);
      } else if (aside !== undefined) unlinkSync(aside);
    });
}

type Act = Workplace["act"];

/** The folder as the kernel named it, where that is known, and else as the program wrote it. */
function folderOfName(path: string, { file }: BoundName): Place {
  return { path: file?.parent.path ?? dirname(path), identity: file?.parent.identity };
}

function lookAt(path: OwnPath): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

/** Links on the way have changed: what was made where they lead to now is taken away. */
function misplaced(path: string, made: LocalFd): KmonteError {
  const there = OWN_VIEW.at(readlinkSync(`/proc/self/fd/${made}`));
  if (lookAt(there)?.ino === fstat(made).inode) unlinkSync(there);
  return failures.SOCKET_MISPLACED({ path, there });
}

/** Where the sockets are for the moment whose files are gone and whose names others have by now, by path. */
const hiddenSockets = new Memo(() => new Map<string, string>());

/** What has the name by now gets it back at once: somebody may have to open it. */
function hide(context: ThawContext, act: Act, path: string, here: ProcPath, aside: ProcPath): () => void {
  const ending = `.kmonte-${process.pid}-${(counter += 1)}`;
  const there = `${here}${ending}` as const;
  const key = context.mounts.at(path);
  act(() => renameSync(here, there));
  context.undo(`socket file ${path}${ending}`, () => act(() => unlinkSync(there)));
  act(() => renameSync(aside, here));
  const hidden = context.memo(hiddenSockets);
  hidden.set(key, `${path}${ending}`);
  return () => {
    hidden.delete(key);
    act(() => unlinkSync(there));
  };
}

/** By which name, from which directory, a socket can be connected to now. */
export function reachOf(context: ThawContext, bound: BoundName): Pick<BoundName, "name" | "directory"> {
  if (!isPathName(bound.name)) return bound;
  const path = pathOf(bound);
  const place =
    context.memo(hiddenSockets).get(context.mounts.at(path)) ??
    (bound.root === undefined && !bound.ownName ? undefined : path);
  return place === undefined ? bound : { name: basename(place), directory: dirname(place) };
}

/** A socket file that is there for the thaw only is made by us, and has to let somebody else connect. */
export function lendFile(
  listener: LocalFd,
  bound: BoundName,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): void {
  if (bound.file || !isPathName(bound.name)) return;
  withFileOf(listener, (file) => ownOpen(file, { uid, gid, mode: fstat(file).mode }));
}

/** Lends the file of a bound socket itself, wherever its name leads to. */
export function withFileOf(socket: LocalFd, use: (file: LocalFd) => void): void {
  const file = call("ioctl", "Finding the file of a socket", socket, SIOCUNIXFILE, 0) as LocalFd;
  try {
    use(file);
  } finally {
    closeSync(file);
  }
}

/** connect(2) to a socket of ours. */
export function connectToOwn(fd: LocalFd, listener: LocalFd, { name }: BoundName): void {
  const about = `Connecting a socket to ${name}`;
  if (!isPathName(name)) return useAddress("connect", fd, unixAddress(name), about);
  withFileOf(listener, (file) => useAddress("connect", fd, unixAddress(`/proc/self/fd/${file}`), about));
}

/** connect(2) by name, with the rights of whoever has the socket. */
export function connectUnix(context: ThawContext, fd: LocalFd, bound: BoundName): void {
  const { name, directory } = reachOf(context, bound);
  const about = `Connecting a socket to ${bound.name}`;
  const connect = (): void => useAddress("connect", fd, unixAddress(name), about);
  const [rights] = context.holders;
  inPlaceOf(context, { directory }, () => (rights ? withRights(rights, connect) : connect()));
}

function moveAside(context: ThawContext, act: Act, here: ProcPath): ProcPath | undefined {
  if (!lookAt(here)) return undefined;
  const aside = `${here}.kmonte-${process.pid}-${(counter += 1)}` as const;
  renameSync(here, aside);
  context.undo(`socket file ${basename(here)}`, () =>
    act(() => {
      if (lookAt(aside)) renameSync(aside, here);
    }),
  );
  return aside;
}
let counter = 0;

let ownDirectory = false;

/** Does something where a name begins, in a working directory and root of this thread alone (unshare(2), CLONE_FS). */
export function inPlaceOf(
  context: ThawContext,
  { directory, root }: Pick<BoundName, "directory" | "root">,
  action: () => void,
): void {
  const { mounts } = context;
  if (root !== undefined) return mounts.from(root).inRoot(action);
  if (directory === undefined) return mounts.inRoot(action);
  // Programs bind by names that begin in directories that are gone by now.
  outOfRoot(() =>
    createInDirectory(context, { path: directory }, (at) => {
      const folder = openSync(at, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC);
      try {
        withOurRights(() => mounts.inRoot(() => inDirectory(folder, action)));
      } finally {
        closeSync(folder);
      }
    }),
  );
}

function inDirectory(folder: number, action: () => void): void {
  if (!ownDirectory) call("unshare", "Having a working directory of our own", CLONE.FS);
  ownDirectory = true;
  const before = openSync(OWN_VIEW.at("."), O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC);
  try {
    call("fchdir", "Going where a name begins", folder);
    action();
  } finally {
    call("fchdir", "Going back", before);
    closeSync(before);
  }
}
