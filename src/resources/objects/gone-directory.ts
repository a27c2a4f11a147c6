/** A directory that was removed while someone had it open or stood in it. It is empty: rmdir(2) takes no other. */
import { mkdirSync, rmdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import type { FileStat } from "../../abi/stat.ts";
import type { FreezeContext, ObjectKind, ObjectState, ThawContext } from "../contract.ts";
import { linkedPath, type ContentsHandle, type ContentsLook } from "./contents.ts";
import { extraAttributes, freezeAttributes, thawAttributes } from "./file-attributes.ts";
import { ownOpen } from "./gone-special.ts";
import { identitySchema } from "./identity-schema.ts";
import { folderOf, inFolderAgain } from "./folder-again.ts";
import { openPath } from "./path-file.ts";
import { spareName } from "./unlinked-file.ts";
import { ofAnyUser } from "../for-user.ts";

const schema = v.strictObject({
  kind: v.literal("gone-directory"),
  path: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** The folder in which it stood. */
  folder: v.optional(identitySchema),
  ...extraAttributes,
});
type GoneDirectoryState = v.InferOutput<typeof schema>;

export function goneDirectoryId(stat: FileStat): string {
  return `directory:${stat.device}:${stat.inode}`;
}

export function freezeGoneDirectory(context: FreezeContext, look: ContentsLook): ObjectState & GoneDirectoryState {
  const { mode, uid, gid } = look.stat;
  return {
    kind: "gone-directory",
    path: linkedPath(look.link),
    mode,
    uid,
    gid,
    ...folderOf(look.link),
    ...freezeAttributes(context, look),
  };
}

export const goneDirectory: ObjectKind<GoneDirectoryState, ContentsHandle> = {
  name: "gone-directory",
  schema,
  forUser: ofAnyUser,
  paths: ({ path, folder }) => [{ folder: dirname(path), identity: folder }],
  thaw(state, context: ThawContext): ContentsHandle {
    const place = { path: dirname(state.path), identity: state.folder };
    const fd = inFolderAgain(context, place, (at) => {
      const path = spareName(join(at, basename(state.path)));
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
