/**
 * A mount that was taken away while it was in use (umount2(2), MNT_DETACH): no namespace shows it, and the kernel tells
 * paths in it from its own root. It is a place for paths, as a mount namespace is.
 */
import type { FreezeProcess } from "../freeze-context.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { identityOf } from "../../sys/file-identity.ts";
import { cloneMount, cloneMountOf, withinMounts } from "../../sys/mount.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import { TMPFS_MAGIC } from "../../abi/stat.ts";
import { fileSystemFacts, fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import type { FileSystemHandle } from "./file-system.ts";
import { freezeMemory } from "./file-system.ts";
import type { MountNamespaceHandle } from "./namespace.ts";
import { searchName } from "../file/find-inode.ts";
import { identitySchema } from "../file/identity-schema.ts";
import { findToMount } from "../file/create-in-directory.ts";

const schema = v.strictObject({
  kind: v.literal("detached-mount"),
  source: v.union([
    /** A file system in memory that nothing else shows. */
    v.strictObject({ fileSystem: v.string() }),
    /** A folder that a mount namespace of the set shows too; absent: that of kmonte. */
    v.strictObject({ path: v.string(), mnt: v.optional(v.string()), identity: v.optional(identitySchema) }),
  ]),
});
type DetachedMountState = v.InferOutput<typeof schema>;

/** `root` is the root of the mount, which process `pid` uses. */
export function freezeDetachedMount(
  context: FreezeContext,
  { pid, task }: Pick<FreezeProcess, "pid" | "task">,
  root: LocalFd,
): DetachedMountState {
  const seen = fstat(root);
  const own = namespaceOf(task, "mnt");
  for (const mnt of new Set([own === namespaceOf("self", "mnt") ? undefined : own, undefined])) {
    const path = searchName(context.in(mnt).mounts, mnt === undefined ? "self" : task, seen, []);
    if (path !== undefined)
      return {
        kind: "detached-mount",
        source: { path, ...(mnt !== undefined && { mnt }), identity: identityOf(root) },
      };
  }
  const facts = fileSystemFacts(root);
  if (facts?.type !== TMPFS_MAGIC) throw failures.MOUNT_DETACHED.mount({ pid });
  const id = `file-system:${seen.device}`;
  context.object(id, () =>
    freezeMemory({ context, pid, task, command: "" }, root, {
      id,
      options: [`size=${facts.blocks * facts.blockSize}`, `nr_inodes=${facts.files}`],
    }),
  );
  return { kind: "detached-mount", source: { fileSystem: id } };
}

export const detachedMount: ObjectKind<DetachedMountState, Pick<MountNamespaceHandle, "root">, "detached-mount"> = {
  name: "detached-mount",
  hasPath: false,
  schema,
  thaw({ source: from }, context) {
    if ("fileSystem" in from)
      return { root: context.keep(context.object<FileSystemHandle>(from.fileSystem).clone("/")) };
    const clone = (): LocalFd => context.keep(cloneMount(from.path));
    if (from.mnt !== undefined) return { root: withinMounts(context.object<MountNamespaceHandle>(from.mnt).fd, clone) };
    const found = findToMount(context, { path: from.path, identity: from.identity });
    try {
      return { root: context.keep(cloneMountOf(found)) };
    } finally {
      closeSync(found);
    }
  },
};
