/** statx-like facts about an open file from fstat(2), struct stat of x86-64 (bits/struct_stat.h). */
import type { OwnPath } from "./mount-view.ts";
import { type BigIntStats, fstatSync, lstatSync, statSync } from "node:fs";
import { AT_FDCWD } from "../abi/fcntl.ts";
import { STATX_MNT_ID, formatDevice } from "../abi/stat.ts";
import { attempt, call, withStruct, withText } from "./call.ts";

export interface FileStat {
  /** `major:minor` in decimal. */
  readonly device: string;
  readonly inode: bigint;
  /** One of the {@link S_IF} values; 0 for anonymous inodes. */
  readonly type: number;
  /** Permission bits, set-id bits included. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** Device number of a device node, `major:minor`. */
  readonly deviceNode: string;
  readonly size: number;
  readonly mtimeNs: bigint;
}

function fromStats(stats: BigIntStats): FileStat {
  const mode = Number(stats.mode);
  return {
    device: formatDevice(stats.dev),
    inode: stats.ino,
    type: mode & 0o170000,
    mode: mode & 0o7777,
    links: Number(stats.nlink),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    deviceNode: formatDevice(stats.rdev),
    size: Number(stats.size),
    mtimeNs: stats.mtimeNs,
  };
}

export function fstat(fd: number): FileStat {
  return fromStats(fstatSync(fd, { bigint: true }));
}

export function stat(path: OwnPath): FileStat {
  return fromStats(statSync(path, { bigint: true }));
}

/** Does not follow a symbolic link at the end. */
export function lstat(path: OwnPath): FileStat {
  return fromStats(lstatSync(path, { bigint: true }));
}

/** When a file was last read and written to, nanoseconds since the epoch. */
export function fileTimes(path: OwnPath): { readonly access: bigint; readonly modification: bigint } {
  const { atimeNs, mtimeNs } = statSync(path, { bigint: true });
  return { access: atimeNs, modification: mtimeNs };
}

/** Struct statfs of an open file's file system (statfs(2)). */
export function fileSystemFacts(
  fd: number,
): { readonly type: number; readonly blockSize: number; readonly blocks: number; readonly files: number } | undefined {
  return withStruct(120, (bytes, address) => {
    if (attempt("fstatfs", fd, address) < 0) return undefined;
    const [type = 0, blockSize = 0, blocks = 0, , , files = 0] = [0, 8, 16, 24, 32, 40].map((at) =>
      Number(bytes.readBigInt64LE(at)),
    );
    return { type, blockSize, blocks, files };
  });
}

/** The type of the file system that an open file lies on: f_type of struct statfs. */
export function fileSystemOf(fd: number): number | undefined {
  return withStruct(120, (bytes, address) =>
    attempt("fstatfs", fd, address) < 0 ? undefined : Number(bytes.readBigInt64LE(0)),
  );
}

/** The id of the mount that a path leads to (statx(2), Linux 5.8), as /proc/PID/mountinfo has it; follows magic links. */
export function mountIdOf(path: OwnPath): number {
  return withStruct(256, (bytes, address) => {
    withText(path, (name) => call("statx", `Looking at ${path}`, AT_FDCWD, name, 0, STATX_MNT_ID, address));
    return Number(bytes.readBigUInt64LE(144));
  });
}
