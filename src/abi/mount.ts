/** mount(2), mount_namespaces(7), fsopen(2) (include/uapi/linux/mount.h), and mount namespaces of a thread. */

export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  REC: 16384,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
} as const;

export const MNT_DETACH = 2;
export const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6 } as const;
export const MOVE_MOUNT_F_EMPTY_PATH = 4;
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
export const MOVE_MOUNT_SET_GROUP = 0x100;
export const OPEN_TREE_CLONE = 1;
export const AT_RECURSIVE = 0x8000;
/** struct mount_attr: what to set, what to clear, propagation, a user namespace. */
export const MOUNT_ATTR_SIZE = 32;
export const MOUNT_ATTR_IDMAP = 0x10_0000n;
export const FSOPEN_CLOEXEC = 1;
export const FSMOUNT_CLOEXEC = 1;

/** How /proc/PID/mountinfo writes the options of a mount. */
const OPTION_FLAGS: Readonly<Record<string, number>> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  noatime: MS.NOATIME,
  nodiratime: MS.NODIRATIME,
  relatime: MS.RELATIME,
  nosymfollow: MS.NOSYMFOLLOW,
};

export function mountFlags(options: readonly string[]): number {
  const flags = options.reduce((sum, option) => sum | (OPTION_FLAGS[option] ?? 0), 0);
  return (flags & (MS.NOATIME | MS.RELATIME)) === 0 ? flags | MS.STRICTATIME : flags;
}
