/**
 * What a mount shows though it was removed from its folder since (unlink(2), rmdir(2), or another file was renamed over
 * it): it is made again for the moment on the same file system, mounted, and removed.
 */
import { rmdirSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { withOurRights } from "../../abi/identity.ts";
import { cloneMountOf } from "../../abi/mount.ts";
import { fstat, S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import type { Mount } from "../../proc/mountinfo.ts";
import type { FreezeProcess, ObjectKind, ObjectState, ThawContext } from "../contract.ts";
import { freezeAttributes } from "../objects/file-attributes.ts";
import { workIn } from "../objects/folder-again.ts";
import { identitySchema } from "../objects/identity-schema.ts";
import { openToRead, type ReadableFd } from "../readable.ts";
import { thingSchema, type Thing } from "../volatile/entry.ts";
import { finishFolder, makeThing } from "../volatile/make.ts";
import { ofThisBoot } from "../volatile/places.ts";
import { cloneFromWorkshop, keepInWorkshop, type FileSystemHandle } from "./file-system.ts";

const schema = v.strictObject({
  kind: v.literal("removed-source"),
  thing: thingSchema,
  /** The folder of the machine where it stood, or the next one above that is there. */
  folder: v.optional(v.string()),
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
  where: Pick<RemovedSourceState, "folder" | "identity" | "fileSystem">,
): ObjectState {
  const stat = fstat(fd);
  const { mode, uid, gid, type, size, device, deviceNode, inode } = stat;
  const way = { via: `/proc/self/fd/${fd}`, link, stat, pid, command };
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
  return { kind: "removed-source", thing, ...where } as RemovedSourceState;
}

export const removedSource: ObjectKind<RemovedSourceState, RemovedHandle> = {
  name: "removed-source",
  schema,
  thaw({ thing, folder, identity, fileSystem }, context) {
    const inside = insideOf(context, { folder, identity, fileSystem });
    const name = `.kmonte-mount-${process.pid}-${(counter += 1)}`;
    const made = inside((there) => {
      const fd = context.keep(makeThing(context, thing, join(there, name)));
      if (thing.type === "S_IFDIR") finishFolder(thing, fd);
      return fd;
    });
    const remove = (): void =>
      inside((there) => (thing.type === "S_IFDIR" ? rmdirSync : unlinkSync)(join(there, name)));
    context.undo(name, remove);
    const pool = keepInWorkshop(
      context,
      inside(() => context.keep(withOurRights(() => cloneMountOf(made)))),
    );
    // Nothing can be mounted any more that has no name (move_mount(2) answers ENOENT).
    context.whenBuilt(remove);
    return { clone: () => cloneFromWorkshop(context, pool) };
  },
};
let counter = 0;

/** Runs something in the folder, with the rights that are used there; `there` is a way to it. */
function insideOf(
  context: ThawContext,
  { folder = "/", identity, fileSystem }: Pick<RemovedSourceState, "folder" | "identity" | "fileSystem">,
): <T>(action: (there: string) => T) => T {
  if (fileSystem !== undefined) return (action) => context.object<FileSystemHandle>(fileSystem).within("/", action);
  const { at, act } = workIn(context, { path: ofThisBoot(folder), identity }, () => undefined);
  return (action) => act(() => action(at));
}
