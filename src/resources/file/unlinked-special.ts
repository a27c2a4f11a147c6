/**
 * A device node, FIFO, socket file or symbolic link whose name was removed while a descriptor led to it (mknod(2),
 * symlink(2)). One is made for the moment in the same folder, under its old name if nothing else has that by now.
 */
import { closeSync } from "node:fs";
import { basename, dirname } from "node:path";
import * as v from "valibot";
import type { ProcPath } from "../../sys/mount-view.ts";
import { chmodSync, symlinkSync, unlinkSync } from "../../sys/files.ts";
import { call, withStruct, withText } from "../../sys/call.ts";
import { AT_EMPTY_PATH, AT_FDCWD, O } from "../../abi/fcntl.ts";
import { S_IF, makeDevice } from "../../abi/stat.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import { linkedPath } from "./contents.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { identitySchema } from "./identity-schema.ts";
import { folderOf, createInDirectory } from "./create-in-directory.ts";
import { openPath } from "./path-file.ts";
import { spareName } from "./unlinked-file.ts";

const TYPES = {
  S_IFSOCK: S_IF.S_IFSOCK,
  S_IFLNK: S_IF.S_IFLNK,
  S_IFBLK: S_IF.S_IFBLK,
  S_IFCHR: S_IF.S_IFCHR,
  S_IFIFO: S_IF.S_IFIFO,
} as const;
type TypeName = keyof typeof TYPES;

export const unlinkedSpecialSchema = v.strictObject({
  path: v.string(),
  type: v.picklist(Object.keys(TYPES) as TypeName[]),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** The folder in which it stood. */
  parentDirectory: v.optional(identitySchema),
  /** Major and minor number of a device. */
  device: v.optional(v.string()),
  /** What a symbolic link says. */
  target: v.optional(v.string()),
});
export type UnlinkedSpecial = v.InferOutput<typeof unlinkedSpecialSchema>;

const PATH_MAX = 4096;

/** `local` may have been opened with O_PATH. */
export function freezeUnlinkedSpecial({
  context: { mounts },
  local,
  link,
  stat,
}: Pick<OpenFile, "context" | "local" | "link" | "stat">): UnlinkedSpecial {
  const { mode, uid, gid, type, deviceNode } = stat;
  const node = type === S_IF.S_IFCHR || type === S_IF.S_IFBLK;
  return {
    path: linkedPath(link),
    type: nameOf(TYPES, type) as TypeName,
    mode,
    uid,
    gid,
    ...folderOf(mounts, link),
    ...(node && { device: deviceNode }),
    ...(type === S_IF.S_IFLNK && { target: readLink(local) }),
  };
}

/** What a symbolic link says, opened with O_PATH. */
export function readLink(local: LocalFd): string {
  return withText("", (empty) =>
    withStruct(PATH_MAX, (bytes, address) => {
      const length = call("readlinkat", "Reading a symbolic link", local, empty, address, PATH_MAX);
      return bytes.toString("utf8", 0, length);
    }),
  );
}

export function openUnlinkedSpecial(context: ThawContext, state: UnlinkedSpecial, flags: number): LocalFd {
  const place = { path: dirname(state.path), identity: state.parentDirectory };
  const made = createInDirectory(context, place, (at) => {
    const name = spareName(at, basename(state.path));
    make(name, state);
    try {
      return openPath(name, O.O_PATH | O.O_NOFOLLOW);
    } finally {
      unlinkSync(name);
    }
  });
  // Through the descriptor: whatever has its name by now is not touched.
  ownOpen(made, state);
  if ((flags & O.O_PATH) !== 0) return made;
  try {
    return openPath(`/proc/self/fd/${made}`, flags);
  } finally {
    closeSync(made);
  }
}

/** Owner and mode of what was just made, which may be open with O_PATH; a symbolic link has no mode. */
export function ownOpen(
  fd: LocalFd,
  { uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number },
): void {
  withText("", (empty) => call("fchownat", "Owning what was made", fd, empty, uid, gid, AT_EMPTY_PATH));
  if (fstat(fd).type !== S_IF.S_IFLNK) chmodSync(`/proc/self/fd/${fd}`, mode);
}

function make(name: ProcPath, { type, target, device = "0:0" }: UnlinkedSpecial): void {
  if (type === "S_IFLNK") return symlinkSync(target ?? "", name);
  const mode = TYPES[type] | 0o600;
  withText(name, (at) => call("mknodat", `Making ${name}`, AT_FDCWD, at, mode, makeDevice(device)));
}
