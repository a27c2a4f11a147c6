/** fanotify(7) (include/uapi/linux/fanotify.h). */
import type { FlagTable } from "../lib/flags.ts";

/** Flags of fanotify_init(2), those of the descriptor left out. */
export const FAN_INIT = {
  FAN_CLASS_CONTENT: 0x4,
  FAN_CLASS_PRE_CONTENT: 0x8,
  FAN_UNLIMITED_QUEUE: 0x10,
  FAN_UNLIMITED_MARKS: 0x20,
  FAN_ENABLE_AUDIT: 0x40,
  FAN_REPORT_PIDFD: 0x80,
  FAN_REPORT_TID: 0x100,
  FAN_REPORT_FID: 0x200,
  FAN_REPORT_DIR_FID: 0x400,
  FAN_REPORT_NAME: 0x800,
  FAN_REPORT_TARGET_FID: 0x1000,
  FAN_REPORT_FD_ERROR: 0x2000,
  FAN_REPORT_MNT: 0x4000,
} as const satisfies FlagTable;

/** Flags of fanotify_mark(2). */
export const FAN_MARK = {
  FAN_MARK_ADD: 0x1,
  FAN_MARK_DONT_FOLLOW: 0x4,
  FAN_MARK_MOUNT: 0x10,
  FAN_MARK_IGNORED_MASK: 0x20,
  FAN_MARK_IGNORED_SURV_MODIFY: 0x40,
  FAN_MARK_FILESYSTEM: 0x100,
  FAN_MARK_EVICTABLE: 0x200,
  FAN_MARK_IGNORE: 0x400,
} as const satisfies FlagTable;

/** Events that a mark can ask for. */
export const FAN = {
  FAN_ACCESS: 0x1,
  FAN_MODIFY: 0x2,
  FAN_ATTRIB: 0x4,
  FAN_CLOSE_WRITE: 0x8,
  FAN_CLOSE_NOWRITE: 0x10,
  FAN_OPEN: 0x20,
  FAN_MOVED_FROM: 0x40,
  FAN_MOVED_TO: 0x80,
  FAN_CREATE: 0x100,
  FAN_DELETE: 0x200,
  FAN_DELETE_SELF: 0x400,
  FAN_MOVE_SELF: 0x800,
  FAN_OPEN_EXEC: 0x1000,
  FAN_FS_ERROR: 0x8000,
  FAN_OPEN_PERM: 0x1_0000,
  FAN_ACCESS_PERM: 0x2_0000,
  FAN_OPEN_EXEC_PERM: 0x4_0000,
  FAN_PRE_ACCESS: 0x10_0000,
  FAN_MNT_ATTACH: 0x100_0000,
  FAN_MNT_DETACH: 0x200_0000,
  FAN_EVENT_ON_CHILD: 0x800_0000,
  FAN_RENAME: 0x1000_0000,
  FAN_ONDIR: 0x4000_0000,
} as const satisfies FlagTable;
