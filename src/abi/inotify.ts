/** inotify(7) (include/uapi/linux/inotify.h). */
import type { FlagTable } from "../lib/flags.ts";

export const IN = {
  IN_ACCESS: 1,
  IN_MODIFY: 2,
  IN_ATTRIB: 4,
  IN_CLOSE_WRITE: 8,
  IN_CLOSE_NOWRITE: 0x10,
  IN_OPEN: 0x20,
  IN_MOVED_FROM: 0x40,
  IN_MOVED_TO: 0x80,
  IN_CREATE: 0x100,
  IN_DELETE: 0x200,
  IN_DELETE_SELF: 0x400,
  IN_MOVE_SELF: 0x800,
  IN_EXCL_UNLINK: 0x0400_0000,
  IN_ONESHOT: 0x8000_0000,
} as const satisfies FlagTable;

/** _IOW('I', 0, __s32): the number of the next watch; needs CONFIG_CHECKPOINT_RESTORE. */
export const INOTIFY_IOC_SETNEXTWD = 0x4004_4900;
/** Bytes that wait to be read (asm-generic/ioctls.h). */
export const FIONREAD = 0x541b;
