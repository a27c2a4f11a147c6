/**
 * Which file an open descriptor leads to, across names and boots: inode number with the time of its birth (statx(2)) or
 * its file handle, which holds the inode's generation (name_to_handle_at(2)).
 */
import { STATX_INO, STATX_BTIME, STATX } from "../abi/stat.ts";
import { AT_EMPTY_PATH } from "../abi/fcntl.ts";
import { OVERLAYFS_SUPER_MAGIC } from "../abi/stat.ts";
import type { LocalFd } from "../lib/brand.ts";
import { presentBoot } from "./boot.ts";
import { attempt, call, withStruct, withText } from "./call.ts";
import { fileSystemOf } from "./stat.ts";

export interface FileIdentity {
  readonly inode: string;
  /** f_type of struct statfs. */
  readonly fileSystem: number;
  /** `major:minor`; other boots give other numbers. */
  readonly device: string;
  /** /proc/sys/kernel/random/boot_id. */
  readonly boot: string;
  /** Nanoseconds since the epoch, where the file system keeps it. */
  readonly birth?: string | undefined;
  /** Type and bytes of struct file_handle in hexadecimal, where the file system gives any. */
  readonly handle?: string | undefined;
}

const MAX_HANDLE_SZ = 128;
const SECOND = 1_000_000_000n;

/** Of an open file, which may have been opened with O_PATH. */
export function identityOf(fd: LocalFd): FileIdentity {
  const handle = handleText(fd);
  return withStruct(STATX.SIZE, (bytes, address) => {
    withText("", (empty) =>
      call("statx", "Looking at a file", fd, empty, AT_EMPTY_PATH, STATX_INO | STATX_BTIME, address),
    );
    const born = (bytes.readUInt32LE(STATX.MASK) & STATX_BTIME) !== 0;
    const birth = bytes.readBigInt64LE(STATX.BTIME) * SECOND + BigInt(bytes.readUInt32LE(STATX.BTIME + 8));
    return {
      inode: String(bytes.readBigUInt64LE(STATX.INO)),
      fileSystem: fileSystemOf(fd) ?? 0,
      device: `${bytes.readUInt32LE(STATX.DEV_MAJOR)}:${bytes.readUInt32LE(STATX.DEV_MINOR)}`,
      boot: bootId(),
      ...(born && birth !== 0n && { birth: String(birth) }),
      ...(handle !== undefined && { handle }),
    };
  });
}

/** Whether both are the very same file, as far as can be told: an inode number alone may be another file's by now. */
export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  if (a.inode !== b.inode || a.fileSystem !== b.fileSystem) return false;
  const told = (["birth", "handle"] as const).filter((name) => a[name] !== undefined && b[name] !== undefined);
  if (told.some((name) => a[name] !== b[name])) return false;
  // An overlay that is mounted anew has another device number, and shows the inodes of what it lies on.
  const stays = a.boot === b.boot && a.fileSystem !== OVERLAYFS_SUPER_MAGIC;
  return told.length > 0 && (!stays || a.device === b.device);
}

function handleText(fd: LocalFd): string | undefined {
  return withStruct(8 + MAX_HANDLE_SZ + 8, (bytes, address) => {
    bytes.writeUInt32LE(MAX_HANDLE_SZ, 0);
    const mountId = address + 8 + MAX_HANDLE_SZ;
    const got = withText("", (empty) => attempt("name_to_handle_at", fd, empty, address, mountId, AT_EMPTY_PATH));
    if (got < 0) return undefined;
    return `${bytes.readInt32LE(4)}:${bytes.toString("hex", 8, 8 + bytes.readUInt32LE(0))}`;
  });
}

let boot: string | undefined;

/** Of this boot. */
export function bootId(): string {
  return (boot ??= presentBoot());
}
