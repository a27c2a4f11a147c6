/**
 * A file or folder over whose path something else has been mounted since it was opened (mount(2)): it lies on a mount
 * that is still there, and no path leads to it. It is found in a copy of that mount alone, which nothing covers, and
 * opened by its handle through the mount itself.
 */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { readFileSync, readlinkSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { SyscallError, call, withText } from "../../sys/call.ts";
import { O } from "../../abi/fcntl.ts";
import { type FileHandle, handleOf, openHandle } from "../../sys/file-handle.ts";
import { procPath } from "../../sys/task.ts";
import { cloneMountOf, withinMounts } from "../../sys/mount.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import { mountIdOf } from "../../sys/stat.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";
import { inBuildingOrder } from "../mount/order.ts";
import type { MountNamespaceHandle } from "../mount/namespace.ts";
import type { ContentsHandle, ContentsLook } from "./contents.ts";
import { searchName } from "./find-inode.ts";
import { identitySchema } from "./identity-schema.ts";
import { identityAt, refuseUnlessTheirs } from "./reopen.ts";
import { openPath } from "./path-file.ts";

const schema = v.strictObject({
  kind: v.literal("shadowed-file"),
  path: v.string(),
  /** Where the mount is that it lies on. */
  mount: v.string(),
  /** Of several mounts on that point: how many are below it. */
  below: v.number(),
  /** The mount namespace, when it is one of the set's own. */
  namespace: v.optional(v.string()),
  identity: v.optional(identitySchema),
});
type ShadowedState = v.InferOutput<typeof schema>;

/** Undefined for what has no name any more, or no name at all; `look.link` leads to something else. */
export function freezeShadowed(context: FreezeContext, look: ContentsLook): ShadowedState | undefined {
  const { link, task, via } = look;
  if (!link.startsWith("/") || link.endsWith(" (deleted)") || look.stat.links === 0) return undefined;
  const namespace = context.placeOf(task, via);
  const member = namespace === undefined ? "self" : memberOf(context, namespace);
  if (member === undefined)
    throw failures.FILE_COVERED({ file: look, why: "Nobody sees the whole of its mount namespace." });
  const mounts = inBuildingOrder(parseMountInfo(readFileSync(procPath(member, "mountinfo"), "utf8")));
  const id = mountIdOf(via);
  const mount = mounts.find((one) => one.id === id);
  // Another mount may show it still: then it is linked elsewhere.
  if (!mount && searchName(context.mounts, task, look.stat, []) !== undefined) return undefined;
  if (!mount) throw failures.MOUNT_DETACHED.file({ file: look });
  const same = mounts.filter(({ mountPoint }) => mountPoint === mount.mountPoint);
  const below = same.indexOf(mount);
  const state = {
    kind: "shadowed-file",
    path: link,
    mount: mount.mountPoint,
    below,
    identity: identityAt(via),
  } as const;
  if (relativePath(link, mount.mountPoint) !== undefined) {
    if (namespace !== undefined) return { ...state, namespace };
    if (mountIdOf(OWN_VIEW.at(mount.mountPoint)) === id) return state;
  }
  throw failures.FILE_COVERED({
    file: look,
    why: `Something else is mounted over it, or over ${mount.mountPoint}, where it lies.`,
  });
}

/** A process of the set whose root is that of the namespace. */
function memberOf(context: FreezeContext, namespace: string): Task | undefined {
  return [...context.tasks.values()].find(
    (task) => namespaceOf(task, "mnt") === namespace && readlinkSync(procPath(task, "root")) === "/",
  );
}

function relativePath(path: string, mountPoint: string): string | undefined {
  if (path === mountPoint) return "";
  const folder = mountPoint === "/" ? "/" : `${mountPoint}/`;
  return path.startsWith(folder) ? path.slice(folder.length) : undefined;
}

export const shadowedFile: ObjectKind<ShadowedState, ContentsHandle, "shadowed-file"> = {
  name: "shadowed-file",
  schema,
  thaw(state, context) {
    const spaces = state.namespace === undefined ? undefined : context.object<MountNamespaceHandle>(state.namespace);
    const root = spaces
      ? spaces.mounts.filter(({ at }) => at === state.mount)[state.below]?.fd
      : context.keep(openPath(OWN_VIEW.at(state.mount), O.O_PATH | O.O_DIRECTORY));
    if (root === undefined) throw new InconsistentImage(`the image has no mount at ${state.mount}`);
    const relative = relativePath(state.path, state.mount) ?? "";
    const anchor = context.keep(openAt(root, ".", O.O_DIRECTORY));
    if (relative === "") {
      refuseUnlessTheirs(context, state, anchor, 0);
      return { open: (flags) => openAt(root, ".", flags) };
    }
    const copy = spaces ? withinMounts(spaces.fd, () => cloneMountOf(root)) : cloneMountOf(root);
    try {
      const found = openAt(copy, relative, O.O_PATH | O.O_NOFOLLOW);
      let handle: FileHandle;
      try {
        refuseUnlessTheirs(context, state, found, O.O_RDWR);
        handle = handleOf(found);
      } finally {
        closeSync(found);
      }
      return {
        open(flags) {
          const fd = openHandle(anchor, handle, flags & ~O.O_NOFOLLOW);
          if (fd < 0) throw new SyscallError("open_by_handle_at", fd, `Opening ${state.path} below what covers it`);
          return fd as LocalFd;
        },
      };
    } finally {
      closeSync(copy);
    }
  },
};

function openAt(folder: LocalFd, path: string, flags: number): LocalFd {
  return withText(
    path,
    (name) => call("openat", `Opening ${path}`, folder, name, flags | O.O_CLOEXEC | O.O_NOCTTY, 0) as LocalFd,
  );
}
