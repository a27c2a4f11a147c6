/** The guest's Debian, without kernels: a tar of what mmdebstrap installs. */
import { ensurePackages } from "../scripts/packages.ts";
import { cached, type CacheEntry } from "./cache.ts";
import { DEBIAN_KEYRING, debianMirror } from "./mirror.ts";
import { runTool } from "./tool.ts";

export const GUEST_SUITE = "bookworm";

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
  return cached("base", recipe, async (target) => {
    ensurePackages(["mmdebstrap"]);
    await runTool("mmdebstrap", [
      "--mode=root",
      "--variant=minbase",
      `--include=${PACKAGES.join(",")}`,
      ...WITHOUT.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
      // Initramfs are made per kernel, and kexec is asked for by the person alone, never at a shutdown.
      '--customize-hook=rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*',
      "--format=tar",
      GUEST_SUITE,
      target,
      `deb [signed-by=${DEBIAN_KEYRING}] ${debianMirror()} ${GUEST_SUITE} main`,
    ]);
  });
}
