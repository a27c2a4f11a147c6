/**
 * What a mount shows though it was removed from its folder since (unlink(2), rmdir(2), or another file was renamed over
 * it): it is made again for the moment on the same file system, mounted, and removed.
 */
import { join } from "node:path";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { rmdirSync, unlinkSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { withOurRights } from "../../sys/identity.ts";
import { cloneMountOf } from "../../sys/mount.ts";
import { S_IF } from "../../abi/stat.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import type { Mount } from "../../proc/mountinfo.ts";
import type { FreezeProcess, ObjectState } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { freezeAttributes } from "../file/attributes.ts";
import { workIn } from "../file/create-in-directory.ts";
import { identitySchema } from "../file/identity-schema.ts";
import { openToRead, type ReadableFd } from "../file/readable.ts";
import { thingSchema, type Thing } from "../volatile/entry.ts";
import { finishFolder, makeThing } from "../volatile/make.ts";
import { ofThisBoot } from "../volatile/file-systems.ts";
import { cloneFromStaging, keepInStaging, type FileSystemHandle } from "./file-system.ts";

const schema = v.strictObject({
  kind: v.literal("removed-source"),
  file: thingSchema,
  /** The folder of the machine where it stood, or the next one above that is there. */
  parentDirectory: v.optional(v.string()),
  identity: v.optional(identitySchema),
  /** The file system of the set's own that it is on; absent: one of the machine's. */
  fileSystem: v.optional(v.string()),
});
type RemovedSourceState = v.InferOutput<typeof schema>;

export interface RemovedHandle {
  /** A mount that shows it, attached nowhere. */
  clone(): LocalFd;
}

const MARK = "//deleted";

export function isRemoved({ root }: Pick<Mount, "root">): boolean {
  return root.endsWith(MARK);
}

export function nameOfRemoved({ root }: Pick<Mount, "root">): string {
  return root.slice(0, -MARK.length);
}

/** `fd` leads to it, opened with O_PATH; `link` is what the mount shows. */
export function freezeRemoved(
  { context, pid, command }: Pick<FreezeProcess, "context" | "pid" | "command">,
  { fd, link }: { readonly fd: LocalFd; readonly link: string },
  where: Pick<RemovedSourceState, "parentDirectory" | "identity" | "fileSystem">,
): ObjectState {
  const stat = fstat(fd);
  const { mode, uid, gid, type, size, device, deviceNode, inode } = stat;
  const way = { via: `/proc/self/fd/${fd}` as const, link, stat, pid, command };
  const node = type === S_IF.S_IFCHR || type === S_IF.S_IFBLK;
  const file = type === S_IF.S_IFREG;
  const readable = (): ReadableFd => {
    const opened = openToRead(context, way, O.O_NOATIME);
    context.keep(opened);
    return opened;
  };
  const contents = (): string => context.blob(`removed:${device}:${inode}`, { fd: readable() });
  const thing: Thing = {
    type: nameOf(S_IF, type) as Thing["type"],
    mode,
    uid,
    gid,
    ...((file || type === S_IF.S_IFDIR) && freezeAttributes(context, way)),
    ...(file && { size, blob: contents() }),
    ...(node && { device: deviceNode }),
  };
  return { kind: "removed-source", file: thing, ...where } as RemovedSourceState;
}

export const removedSource: ObjectKind<RemovedSourceState, RemovedHandle, "removed-source"> = {
  name: "removed-source",
  hasPath: false,
  schema,
  thaw({ file: thing, parentDirectory: folder, identity, fileSystem }, context) {
    const inside = insideOf(context, { parentDirectory: folder, identity, fileSystem });
    const name = `.kmonte-mount-${process.pid}-${(counter += 1)}`;
    const made = inside((there) => {
      const fd = context.keep(makeThing(context, thing, OWN_VIEW.at(join(there, name))));
      if (thing.type === "S_IFDIR") finishFolder(thing, fd);
      return fd;
    });
    const remove = (): void =>
      inside((there) => (thing.type === "S_IFDIR" ? rmdirSync : unlinkSync)(OWN_VIEW.at(join(there, name))));
    context.undo(name, remove);
    const pool = keepInStaging(
      context,
      inside(() => context.keep(withOurRights(() => cloneMountOf(made)))),
    );
    // Nothing can be mounted any more that has no name (move_mount(2) answers ENOENT).
    context.during("release", remove);
    return { clone: () => cloneFromStaging(context, pool) };
  },
};
let counter = 0;

/** Runs something in the folder, with the rights that are used there; `there` is a way to it. */
function insideOf(
  context: ThawContext,
  {
    parentDirectory = "/",
    identity,
    fileSystem,
  }: Pick<RemovedSourceState, "parentDirectory" | "identity" | "fileSystem">,
): <T>(action: (there: string) => T) => T {
  if (fileSystem !== undefined) return (action) => context.object<FileSystemHandle>(fileSystem).within("/", action);
  const { at, act } = workIn(context, { path: ofThisBoot(parentDirectory), identity }, () => undefined);
  return (action) => act(() => action(at));
}
