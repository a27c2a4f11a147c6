/** A file that has a path: it stays on disk, and the image only says which one it must be. */
import { later, placed } from "../../abi/namespaces.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { asUserAlone, isForUser } from "../../abi/identity.ts";
import { call, withStruct, withText } from "../../abi/call.ts";
import { AT_FDCWD, O } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ObjectKind } from "../contract.ts";
import type { ContentsHandle, ContentsLook } from "./contents.ts";
import { ofAnyUser } from "../for-user.ts";

const schema = v.strictObject({
  kind: v.literal("path-file"),
  path: v.string(),
  /** What the file was when it was frozen; a mapped file must still be the same. */
  size: v.number(),
  mtimeNs: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
});
export type PathFileState = v.InferOutput<typeof schema>;

export function freezePathFile(look: ContentsLook): PathFileState {
  return {
    kind: "path-file",
    path: look.link,
    size: look.stat.size,
    mtimeNs: String(look.stat.mtimeNs),
    mode: look.stat.mode,
    uid: look.stat.uid,
    gid: look.stat.gid,
  };
}

export const pathFile: ObjectKind<PathFileState, ContentsHandle> = {
  name: "path-file",
  schema,
  forUser: ofAnyUser,
  paths: ({ path }, flags) => [{ path, flags }],
  thaw: (state) => ({ open: later((flags) => openPath(placed(state.path), flags)) }),
};

/**
 * The same file, in a descriptor that cannot write: as long as anybody could, no process may have the file as its
 * program (execve(2), ETXTBSY).
 */
export function asReader(writer: LocalFd): LocalFd {
  const reader = openPath(`/proc/self/fd/${writer}`, 0);
  closeSync(writer);
  return reader;
}

/**
 * open(2) as the kernel has it: Node's own would add O_CLOEXEC only, but knows no O_PATH or O_DIRECT checks. For a user,
 * the kernel opens what the user may open and nothing that only looks like a file (/proc/self/fd of ours).
 */
export function openPath(path: string, flags: number, mode = 0): LocalFd {
  // A magic link is itself a link, which that flag forbids to follow (shm_open(3) sets it).
  const meant = MAGIC_LINK.test(path) ? flags & ~O.O_NOFOLLOW : flags;
  const all = meant | O.O_CLOEXEC | O.O_NOCTTY;
  return withText(path, (address) =>
    asUserAlone(() =>
      isForUser() && !path.startsWith("/proc/self/fd/")
        ? openStrictly(path, address, all, mode)
        : (call("openat", `Opening ${path}`, AT_FDCWD, address, all, mode) as LocalFd),
    ),
  );
}

const MAGIC_LINK = /^\/proc\/self\/fd\/\d+$/;

/** struct open_how of openat2(2). */
function openStrictly(path: string, address: number, flags: number, mode: number): LocalFd {
  // openat2(2) takes no flag that has no meaning.
  const meant = (flags & O.O_PATH) === 0 ? flags : flags & (O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC);
  return withStruct(24, (how, at) => {
    how.writeBigUInt64LE(BigInt(meant), 0);
    how.writeBigUInt64LE(BigInt(mode), 8);
    how.writeBigUInt64LE(BigInt(RESOLVE_NO_MAGICLINKS), 16);
    return call("openat2", `Opening ${path}`, AT_FDCWD, address, at, 24) as LocalFd;
  });
}

const RESOLVE_NO_MAGICLINKS = 2;
