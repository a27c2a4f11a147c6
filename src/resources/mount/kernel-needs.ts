/** What a kernel must have been built with to mount a file system; nothing for those that every Linux has. */
import type { KernelNeed } from "../conditions.ts";

/** By the names of /proc/filesystems, where Kconfig calls them otherwise than CONFIG_…_FS. */
const OPTIONS: Readonly<Record<string, string>> = {
  vfat: "CONFIG_VFAT_FS",
  iso9660: "CONFIG_ISO9660_FS",
  hugetlbfs: "CONFIG_HUGETLBFS",
  tmpfs: "CONFIG_TMPFS",
  squashfs: "CONFIG_SQUASHFS",
  mqueue: "CONFIG_POSIX_MQUEUE",
  devpts: "CONFIG_UNIX98_PTYS",
  devtmpfs: "CONFIG_DEVTMPFS",
  cgroup: "CONFIG_CGROUPS",
  cgroup2: "CONFIG_CGROUPS",
  debugfs: "CONFIG_DEBUG_FS",
  tracefs: "CONFIG_TRACING",
  configfs: "CONFIG_CONFIGFS_FS",
  binfmt_misc: "CONFIG_BINFMT_MISC",
  bpf: "CONFIG_BPF_SYSCALL",
  securityfs: "CONFIG_SECURITYFS",
  efivarfs: "CONFIG_EFIVAR_FS",
  fusectl: "CONFIG_FUSE_FS",
};

/** Those with a CONFIG_NAME_FS and a module of their own name. */
const PLAIN = new Set(
  "ext4 xfs btrfs overlay f2fs nfs fuse virtiofs erofs udf jfs ntfs3 exfat 9p ceph autofs".split(" "),
);
const BUILT_IN = new Set([
  "tmpfs",
  "devpts",
  "devtmpfs",
  "cgroup",
  "cgroup2",
  "debugfs",
  "tracefs",
  "mqueue",
  "bpf",
  "securityfs",
  "hugetlbfs",
]);

export function fileSystemNeeds(type: string): KernelNeed[] {
  const option = OPTIONS[type] ?? (PLAIN.has(type) ? optionOf(type) : undefined);
  if (option === undefined) return [];
  const module = BUILT_IN.has(type) ? {} : { module: type === "fusectl" ? "fuse" : type };
  return [{ option, ...module, what: `the file system ${type}` }];
}

function optionOf(type: string): string {
  if (type === "virtiofs") return "CONFIG_VIRTIO_FS";
  return `CONFIG_${type.toUpperCase()}_FS`;
}
