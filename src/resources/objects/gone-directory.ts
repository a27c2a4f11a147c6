/** A directory that was removed while someone had it open or stood in it. It is empty: rmdir(2) takes no other. */
import { placed } from "../../abi/namespaces.ts";
import { chmodSync, chownSync, mkdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import type { FileStat } from "../../abi/stat.ts";
import type { FreezeContext, ObjectKind, ObjectState, ThawContext } from "../contract.ts";
import { linkedPath, type ContentsHandle, type ContentsLook } from "./contents.ts";
import { extraAttributes, freezeAttributes, thawAttributes } from "./file-attributes.ts";
import { openPath } from "./path-file.ts";
import { spareName } from "./unlinked-file.ts";
import { ofAnyUser } from "../for-user.ts";

const schema = v.strictObject({
  kind: v.literal("gone-directory"),
  path: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  ...extraAttributes,
});
type GoneDirectoryState = v.InferOutput<typeof schema>;

export function goneDirectoryId(stat: FileStat): string {
  return `directory:${stat.device}:${stat.inode}`;
}

export function freezeGoneDirectory(context: FreezeContext, look: ContentsLook): ObjectState & GoneDirectoryState {
  const { mode, uid, gid } = look.stat;
  return { kind: "gone-directory", path: linkedPath(look.link), mode, uid, gid, ...freezeAttributes(context, look) };
}

export const goneDirectory: ObjectKind<GoneDirectoryState, ContentsHandle> = {
  name: "gone-directory",
  schema,
  forUser: ofAnyUser,
  paths: ({ path }) => [{ folder: dirname(path) }],
  thaw(state, context: ThawContext): ContentsHandle {
    const gone = placed(state.path);
    const fd = inFolder(dirname(gone), () => {
      const path = spareName(gone);
      mkdirSync(path);
      try {
        chownSync(path, state.uid, state.gid);
        chmodSync(path, state.mode);
        return openPath(path, O.O_DIRECTORY | O.O_PATH);
      } finally {
        rmdirSync(path);
      }
    });
    context.keep(fd);
    thawAttributes(fd, state);
    // Not the link itself: O_NOFOLLOW would not follow it.
    return { open: (flags) => openPath(`/proc/self/fd/${fd}/.`, flags) };
  },
};

/** Sees to it that a folder is there while something is made in it. */
export function inFolder<T>(folder: string, use: () => T): T {
  const first = mkdirSync(folder, { recursive: true });
  try {
    return use();
  } finally {
    if (first !== undefined) for (let made = folder; made.startsWith(first); made = dirname(made)) rmdirSync(made);
  }
}
