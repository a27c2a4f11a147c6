/** Working directory, root and umask of a process (chdir(2), chroot(2), umask(2)). */
import { readlinkSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { stat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import { isLinked, type ContentsHandle } from "../file/contents.ts";
import { freezeShadowed } from "../file/shadowed-file.ts";
import { freezeRemovedDirectory, removedDirectoryId } from "../file/removed-directory.ts";
import { identitySchema } from "../file/identity-schema.ts";
import { identityAt, reopen } from "../file/reopen.ts";
import { carryOpened } from "../volatile/collect.ts";
import { machinePathOf } from "../volatile/machine-path.ts";

const place = v.union([
  v.string(),
  v.strictObject({ removed: v.string() }),
  /** In another mount namespace than that of the process; absent: that of kmonte. */
  v.strictObject({
    path: v.string(),
    mnt: v.optional(v.string()),
    identity: v.optional(identitySchema),
    /** In the mount namespace of the process. */
    inOwnNamespace: v.optional(v.literal(true)),
  }),
]);
type Place = v.InferOutput<typeof place>;
const schema = v.strictObject({ cwd: place, root: place, umask: v.number() });
type FilesystemState = v.InferOutput<typeof schema>;

export const filesystemContext: ProcessResource<FilesystemState, "filesystemContext"> = {
  name: "filesystemContext",
  of: "filesystem",
  schema,
  *forUser({ root }) {
    if (root !== "/") yield "It has another root directory.";
  },
  *paths({ cwd }) {
    if (typeof cwd === "string") yield { path: cwd, flags: O.O_PATH };
    else if ("path" in cwd) yield { ...cwd, flags: O.O_PATH };
  },
  freeze: (process) => freezeFilesystem(process),
  thaw(process, { cwd, root, umask }) {
    const { scope } = process;
    const enter = (where: Place, then: (fd: number) => void): void => {
      process.lend(process.context.keep(open(process, where)), then);
    };
    if (root !== "/") {
      enter(root, (fd) => scope.call("fchdir", `Entering ${nameOf(root)}`, fd));
      scope.call("chroot", `Making ${nameOf(root)} the root of process ${process.pid}`, scope.put(Buffer.from(".\0")));
    }
    enter(cwd, (fd) => scope.call("fchdir", `Entering ${nameOf(cwd)}`, fd));
    scope.call("umask", "Setting the umask", umask);
  },
};

/** Of a process, or of a thread that has left the others (unshare(2), CLONE_FS). */
export function freezeFilesystem(process: FreezeProcess): FilesystemState {
  return {
    cwd: readPlace(process, "cwd"),
    root: readPlace(process, "root"),
    umask: Number.parseInt(process.status.get("Umask") ?? "022", 8),
  };
}

function open({ context }: ThawProcess, where: Place): LocalFd {
  const flags = O.O_DIRECTORY | O.O_PATH;
  if (typeof where === "string") return reopen(context, { path: where }, flags);
  if ("removed" in where) return context.object<ContentsHandle>(where.removed).open(flags);
  return reopen(where.inOwnNamespace ? context : context.in(where.mnt), where, flags);
}

function nameOf(where: Place): string {
  if (typeof where === "string") return where;
  return "path" in where ? where.path : "a directory that was removed";
}

/** A path, or the object of a directory that was removed. */
function readPlace({ pid, task, command, context: looker }: FreezeProcess, name: "cwd" | "root"): Place {
  const via = procPath(task, name);
  const path = readlinkSync(via);
  const seen = stat(via);
  const own = namespaceOf(task, "mnt");
  const mnt = looker.placeOf(task, via);
  const context = looker.in(mnt);
  if (isLinked(context.mounts, path, seen)) {
    const here = machinePathOf(context, task, via, path);
    if (here !== undefined) carryOpened(context, here, true);
    if (path === "/" && (mnt ?? namespaceOf("self", "mnt")) === own) return path;
    const identity = identityAt(via);
    if ((mnt ?? namespaceOf("self", "mnt")) === own) return { path, identity, inOwnNamespace: true };
    return { path, identity, ...(mnt !== undefined && { mnt }) };
  }
  const look = { via, link: path, stat: seen, pid, task, command };
  const covered = freezeShadowed(context, look);
  return {
    removed: context.object(removedDirectoryId(seen), () => covered ?? freezeRemovedDirectory(context, look)),
  };
}
