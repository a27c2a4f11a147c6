/** statx-like facts about an open file from fstat(2), struct stat of x86-64 (bits/struct_stat.h). */

/** File types, the S_IFMT part of st_mode (inode(7)). */
export const S_IF = {
  S_IFSOCK: 0o140000,
  S_IFLNK: 0o120000,
  S_IFREG: 0o100000,
  S_IFBLK: 0o060000,
  S_IFDIR: 0o040000,
  S_IFCHR: 0o020000,
  S_IFIFO: 0o010000,
} as const;

/** Takes a dev_t apart as makedev(3) put it together. */
export function formatDevice(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** The number of a device node from `major:minor`, as makedev(3) puts it together for numbers of the usual size. */
export function makeDevice(text: string): number {
  const [major = 0, minor = 0] = text.split(":").map(Number);
  return ((minor & ~0xff) << 12) | (major << 8) | (minor & 0xff);
}

/** Include/uapi/linux/magic.h. */
export const PROC_SUPER_MAGIC = 0x9fa0;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const FUSE_SUPER_MAGIC = 0x6573_5546;
export const CGROUP_SUPER_MAGIC = 0x27_e0eb;
export const CGROUP2_SUPER_MAGIC = 0x6367_7270;
export const NSFS_MAGIC = 0x6e73_6673;
export const DEVPTS_SUPER_MAGIC = 0x1cd1;

export const TMPFS_MAGIC = 0x0102_1994;
export const RAMFS_MAGIC = 0x8584_58f6;
export const HUGETLBFS_MAGIC = 0x9584_58f6;

export const STATX_MNT_ID = 0x1000;

export const STATX_INO = 0x100;
export const STATX_BTIME = 0x800;
/** Places in struct statx (include/uapi/linux/stat.h). */
export const STATX = { SIZE: 256, MASK: 0, INO: 32, BTIME: 80, DEV_MAJOR: 136, DEV_MINOR: 140 } as const;
