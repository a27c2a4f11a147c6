/** open(2) and fcntl(2) (include/uapi/asm-generic/fcntl.h, values of x86-64). */
import type { FlagTable } from "../lib/flags.ts";

export const O = {
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_SYNC: 0o4010000,
  O_DSYNC: 0o10000,
  O_ASYNC: 0o20000,
  O_DIRECT: 0o40000,
  O_LARGEFILE: 0o100000,
  O_TMPFILE: 0o20200000,
  O_DIRECTORY: 0o200000,
  O_NOFOLLOW: 0o400000,
  O_NOATIME: 0o1000000,
  O_CLOEXEC: 0o2000000,
  O_PATH: 0o10000000,
} as const satisfies FlagTable;

/** Flags that an open file shows in F_GETFL and fdinfo; the others act at open only. O_TMPFILE and O_SYNC hold others. */
export const OPEN_STATUS: FlagTable = {
  O_WRONLY: O.O_WRONLY,
  O_RDWR: O.O_RDWR,
  O_APPEND: O.O_APPEND,
  O_NONBLOCK: O.O_NONBLOCK,
  O_SYNC: O.O_SYNC,
  O_DSYNC: O.O_DSYNC,
  O_ASYNC: O.O_ASYNC,
  O_DIRECT: O.O_DIRECT,
  O_LARGEFILE: O.O_LARGEFILE,
  O_TMPFILE: O.O_TMPFILE,
  O_DIRECTORY: O.O_DIRECTORY,
  O_NOFOLLOW: O.O_NOFOLLOW,
  O_NOATIME: O.O_NOATIME,
  O_PATH: O.O_PATH,
};

/** Two bits that are an enumeration: 0 is O_RDONLY. */
export const O_ACCMODE = 3;

export const F = {
  F_DUPFD: 0,
  F_GETFD: 1,
  F_SETFD: 2,
  F_GETFL: 3,
  F_SETFL: 4,
  F_SETLK: 6,
  F_SETSIG: 10,
  F_GETSIG: 11,
  F_SETOWN_EX: 15,
  F_GETOWN_EX: 16,
  F_GETOWNER_UIDS: 17,
  F_OFD_SETLK: 37,
  F_SETLEASE: 1024,
  F_GETLEASE: 1025,
  F_DUPFD_CLOEXEC: 1030,
  F_SETPIPE_SZ: 1031,
  F_GETPIPE_SZ: 1032,
  F_ADD_SEALS: 1033,
  F_GET_SEALS: 1034,
} as const;

export const F_SEAL = {
  F_SEAL_SEAL: 1,
  F_SEAL_SHRINK: 2,
  F_SEAL_GROW: 4,
  F_SEAL_WRITE: 8,
  F_SEAL_FUTURE_WRITE: 16,
  F_SEAL_EXEC: 32,
} as const satisfies FlagTable;

export const AT_FDCWD = -100;
/** A directory as a place to come back to: O_PATH|O_DIRECTORY|O_CLOEXEC. */
export const DIRECTORY_PATH = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;

export const AT_EMPTY_PATH = 0x1000;
/** unlinkat(2), and faccessat2(2): two meanings of one bit. */
export const AT_REMOVEDIR = 0x200;
export const AT_EACCESS = 0x200;
/** access(2). */
export const R_OK = 4;
/** lseek(2). */
export const SEEK = { SEEK_SET: 0, SEEK_CUR: 1, SEEK_DATA: 3, SEEK_HOLE: 4 } as const;
/** renameat2(2). */
export const RENAME = { RENAME_NOREPLACE: 1, RENAME_EXCHANGE: 2 } as const;
/** openat2(2). */
export const RESOLVE = { RESOLVE_NO_MAGICLINKS: 2, RESOLVE_NO_SYMLINKS: 4 } as const;
/** splice(2), tee(2), vmsplice(2). */
export const SPLICE_F_NONBLOCK = 2;
export const AT_SYMLINK_FOLLOW = 0x400;
/** memfd_create(2). */
export const MFD = { MFD_CLOEXEC: 1, MFD_ALLOW_SEALING: 2, MFD_HUGETLB: 4 } as const;
/** kcmp(2) types (include/uapi/linux/kcmp.h). */
export const KCMP = { FILE: 0, VM: 1, FILES: 2, FS: 3, SIGHAND: 4, IO: 5, SYSVSEM: 6, EPOLL_TFD: 7 } as const;
