/** A file that has a path: it stays on disk, and the image only says which one it must be. */
import type { MountView, OwnPath } from "../../sys/mount-view.ts";
import { later } from "../../sys/namespaces.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { asUserAlone, isForUser } from "../../sys/identity.ts";
import { call, withStruct, withText } from "../../sys/call.ts";
import { AT_FDCWD, O, RESOLVE } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ObjectKind } from "../contract.ts";
import { S_IF } from "../../abi/stat.ts";
import { fstat } from "../../sys/stat.ts";
import { failures } from "../../errors/catalogue.ts";
import type { ContentsHandle, ContentsLook } from "./contents.ts";
import { namedFile } from "./named-file.ts";
import { identityAt, reopen } from "./reopen.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({ kind: v.literal("path-file"), ...namedFile });
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
    identity: identityAt(look.via),
    ...(look.stat.type !== S_IF.S_IFREG && { device: look.stat.deviceNode }),
  };
}

export const pathFile: ObjectKind<PathFileState, ContentsHandle, "path-file"> = {
  name: "path-file",
  schema,
  forUser: ofAnyUser,
  paths: ({ path, identity, device }, flags) => [{ path, identity, device, flags }],
  thaw(state, context) {
    const open = later((flags: number) => reopen(context, state, flags));
    return { open, openToMap: (flags) => unchanged(open(flags), state) };
  },
};

/** What is mapped privately must have the contents that it had: asked of the descriptor that is used. */
export function unchanged(fd: LocalFd, { path, size, mtimeNs }: Omit<PathFileState, "kind">): LocalFd {
  const now = fstat(fd);
  if (now.type !== S_IF.S_IFREG || (now.size === size && String(now.mtimeNs) === mtimeNs)) return fd;
  closeSync(fd);
  throw failures.FILE_CHANGED.whileThawed({ path });
}

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
export function openPath(path: OwnPath, flags: number, mode = 0): LocalFd {
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

/**
 * open(2) of a program's path that holds no symbolic link, as paths in images do not: where there is one by now, it fails with
 * ELOOP. Magic links are not followed either. With the rights of now.
 */
export function openCanonical(mounts: MountView, path: string, flags: number): LocalFd {
  const all = flags | O.O_CLOEXEC | O.O_NOCTTY;
  const resolve = RESOLVE.RESOLVE_NO_MAGICLINKS | RESOLVE.RESOLVE_NO_SYMLINKS;
  return mounts.below(path, (folder, below) =>
    withText(below, (address) => openStrictly(path, address, all, 0, folder, resolve)),
  );
}

/** struct open_how of openat2(2). */
function openStrictly(
  path: string,
  address: number,
  flags: number,
  mode: number,
  folder = AT_FDCWD,
  resolve: number = RESOLVE.RESOLVE_NO_MAGICLINKS,
): LocalFd {
  // openat2(2) takes no flag that has no meaning.
  const meant = (flags & O.O_PATH) === 0 ? flags : flags & (O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_CLOEXEC);
  return withStruct(24, (how, at) => {
    how.writeBigUInt64LE(BigInt(meant), 0);
    how.writeBigUInt64LE(BigInt(mode), 8);
    how.writeBigUInt64LE(BigInt(resolve), 16);
    return call("openat2", `Opening ${path}`, folder, address, at, 24) as LocalFd;
  });
}
