/** A directory that was removed while someone had it open or stood in it. It is empty: rmdir(2) takes no other. */
import { basename, dirname } from "node:path";
import { NAMELESS_INODE, NAMELESS_LINK } from "./nameless.ts";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { mkdirSync, rmdirSync } from "../../sys/files.ts";
import type { FileStat } from "../../sys/stat.ts";
import type { FreezeContext, ObjectState } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { linkedPath, type ContentsHandle, type ContentsLook } from "./contents.ts";
import { extraAttributes, freezeAttributes, thawAttributes } from "./attributes.ts";
import { ownOpen } from "./unlinked-special.ts";
import { identitySchema } from "./identity-schema.ts";
import { folderOf, createInDirectory } from "./create-in-directory.ts";
import { openPath } from "./path-file.ts";
import { spareName } from "./unlinked-file.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("removed-directory"),
  path: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** The folder in which it stood. */
  parentDirectory: v.optional(identitySchema),
  ...extraAttributes,
});
type RemovedDirectoryState = v.InferOutput<typeof schema>;

export function removedDirectoryId(stat: FileStat): string {
  return `directory:${stat.device}:${stat.inode}`;
}

export function freezeRemovedDirectory(
  context: FreezeContext,
  look: ContentsLook,
): ObjectState & RemovedDirectoryState {
  const { mode, uid, gid } = look.stat;
  return {
    kind: "removed-directory",
    path: linkedPath(look.link),
    mode,
    uid,
    gid,
    ...folderOf(context.mounts, look.link),
    ...freezeAttributes(context, look),
  };
}

export const removedDirectory: ObjectKind<RemovedDirectoryState, ContentsHandle, "removed-directory"> = {
  name: "removed-directory",
  schema,
  differs: [{ what: NAMELESS_INODE, met: () => true }, { what: NAMELESS_LINK }],
  forUser: ofAnyUser,
  paths: ({ path, parentDirectory: folder }) => [{ folder: dirname(path), identity: folder }],
  thaw(state, context: ThawContext): ContentsHandle {
    const place = { path: dirname(state.path), identity: state.parentDirectory };
    const fd = createInDirectory(context, place, (at) => {
      const path = spareName(at, basename(state.path));
      mkdirSync(path, 0o700);
      try {
        return openPath(path, O.O_DIRECTORY | O.O_PATH | O.O_NOFOLLOW);
      } finally {
        rmdirSync(path);
      }
    });
    context.keep(fd);
    // Through the descriptor: whatever has its name by now is not touched.
    ownOpen(fd, state);
    thawAttributes(fd, state);
    // Not the link itself: O_NOFOLLOW would not follow it.
    return { open: (flags) => openPath(`/proc/self/fd/${fd}/.`, flags) };
  },
};
