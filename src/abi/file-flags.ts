/** Flags of files: ioctl_iflags(2), include/uapi/linux/fs.h. */
import type { FlagTable } from "../lib/flags.ts";

/** Those that someone has set, as chattr(1) does; the others say how the file system keeps the file. */
export const FS_FL = {
  FS_SYNC_FL: 8,
  FS_IMMUTABLE_FL: 0x10,
  FS_APPEND_FL: 0x20,
  FS_NODUMP_FL: 0x40,
  FS_NOATIME_FL: 0x80,
  FS_NOTAIL_FL: 0x8000,
  FS_DIRSYNC_FL: 0x1_0000,
} as const satisfies FlagTable;

export const ALL = Object.values(FS_FL).reduce((all: number, bit) => all | bit, 0);

export const FS_IOC_GETFLAGS = 0x8008_6601;
export const FS_IOC_SETFLAGS = 0x4008_6602;
