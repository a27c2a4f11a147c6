/** The guest's Debian, without kernels: a tar of what mmdebstrap installs. */
import { bootstrap, DEBIAN_SUITES } from "./bootstrap.ts";
import { cached, type CacheEntry } from "./cache.ts";

export const GUEST_SUITE = DEBIAN_SUITES["12"];

const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "udev",
  "dbus",
  "kmod",
  "procps",
  "iproute2",
  "initramfs-tools",
  "lz4",
  "zstd",
  "kexec-tools",
  "redis-server",
  "redis-tools",
  "python3",
  "nftables",
  "nginx-light",
  "openssl",
];

/** What is of no use to a guest that lives for a minute. */
const WITHOUT = [
  "/usr/share/man/*",
  "/usr/share/doc/*",
  "/usr/share/locale/*",
  "/usr/share/info/*",
  "/var/lib/apt/lists/*",
  // The guest has neither a device mapper nor a keyboard; without them its initramfs is half as large.
  "/usr/share/initramfs-tools/hooks/dmsetup",
  "/usr/share/initramfs-tools/hooks/keymap",
  "/usr/share/initramfs-tools/hooks/thermal",
  "/usr/share/initramfs-tools/hooks/fsck",
];

/** The tar of the guest's root file system. About a minute and a half when it is not in the cache. */
export async function guestBase(): Promise<CacheEntry> {
  const recipe = { suite: GUEST_SUITE, PACKAGES, WITHOUT };
  const debian = { suite: GUEST_SUITE, packages: PACKAGES, without: WITHOUT };
  return cached("base", recipe, (target) => bootstrap(debian, "tar", target));
}
