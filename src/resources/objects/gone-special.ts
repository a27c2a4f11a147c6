/**
 * A device node, FIFO, socket file or symbolic link whose name was removed while a descriptor led to it (mknod(2),
 * symlink(2)). One is made for the moment in the same folder, under its old name if nothing else has that by now.
 */
import { chmodSync, lchownSync, symlinkSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { call, withStruct, withText } from "../../abi/call.ts";
import { AT_FDCWD } from "../../abi/fcntl.ts";
import { placed } from "../../abi/namespaces.ts";
import { makeDevice, S_IF, type FileStat } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import { linkedPath } from "./contents.ts";
import { inFolder } from "./gone-directory.ts";
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

export const goneSpecialSchema = v.strictObject({
  path: v.string(),
  type: v.picklist(Object.keys(TYPES) as TypeName[]),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** Major and minor number of a device. */
  device: v.optional(v.string()),
  /** What a symbolic link says. */
  target: v.optional(v.string()),
});
export type GoneSpecial = v.InferOutput<typeof goneSpecialSchema>;

const PATH_MAX = 4096;

/** `local` may have been opened with O_PATH. */
export function freezeGoneSpecial(local: LocalFd, link: string, stat: FileStat): GoneSpecial {
  const { mode, uid, gid, type, deviceNode } = stat;
  const node = type === S_IF.S_IFCHR || type === S_IF.S_IFBLK;
  return {
    path: linkedPath(link),
    type: nameOf(TYPES, type) as TypeName,
    mode,
    uid,
    gid,
    ...(node && { device: deviceNode }),
    ...(type === S_IF.S_IFLNK && { target: readLink(local) }),
  };
}

function readLink(local: LocalFd): string {
  return withText("", (empty) =>
    withStruct(PATH_MAX, (bytes, address) => {
      const length = call("readlinkat", "Reading a symbolic link", local, empty, address, PATH_MAX);
      return bytes.toString("utf8", 0, length);
    }),
  );
}

export function openGoneSpecial(state: GoneSpecial, flags: number): LocalFd {
  const path = placed(state.path);
  return inFolder(dirname(path), () => {
    const name = spareName(path);
    make(name, state);
    try {
      lchownSync(name, state.uid, state.gid);
      if (state.type !== "S_IFLNK") chmodSync(name, state.mode);
      return openPath(name, flags);
    } finally {
      unlinkSync(name);
    }
  });
}

function make(name: string, { type, target, device = "0:0" }: GoneSpecial): void {
  if (type === "S_IFLNK") return symlinkSync(target ?? "", name);
  const mode = TYPES[type] | 0o600;
  withText(name, (at) => call("mknodat", `Making ${name}`, AT_FDCWD, at, mode, makeDevice(device)));
}
