/** The root disk of a machine made of namespaces: a Debian with the packages to try, and what makes it bootable there. */
import { join } from "node:path";
import { commonDebian, DEBIAN_SUITES, type DebianRelease, installDebian } from "./bootstrap.ts";
import { cached, type CacheEntry, cacheDirectory } from "./cache.ts";
import { enableNetworkd, makeFileSystem, maskUnits, placeKmonte } from "./guest-image.ts";
import { type GuestFiles, requireRoot, writeGuestFiles } from "./guest-root.ts";
import { NETWORK } from "./guest-slim.ts";
import { temporaryDirectory } from "./lifetime.ts";

export interface DiskContents {
  readonly debian: DebianRelease;
  /** Packages to try, besides those that every machine has. */
  readonly packages: readonly string[];
  /** Settings of theirs, written after the packages are installed. */
  readonly files?: GuestFiles;
}

/** The file is sparse: it costs nothing until it is used. */
const DISK_BYTES = 8 * 2 ** 30;

/** What would reach through the namespaces to the kernel of the host, or out to a network that is not there. */
const MASKED = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dev-hugepages.mount",
  "proc-sys-fs-binfmt_misc.automount",
  "sys-fs-fuse-connections.mount",
  "sys-kernel-config.mount",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "systemd-binfmt.service",
  "systemd-modules-load.service",
  "systemd-sysctl.service",
  "systemd-timesyncd.service",
];

const FILES: GuestFiles = {
  "/etc/hostname": "lab\n",
  "/etc/hosts": "127.0.0.1 localhost lab\n::1 localhost\n",
  "/etc/machine-id": `${"1ab".padEnd(32, "0")}\n`,
  "/etc/systemd/network/lab.network": NETWORK,
  // The clock is the host's: chronyd runs, and does not set it.
  "/etc/default/chrony": 'DAEMON_OPTS="-F 1 -x"\n',
};

/** An ext4 image, from the cache when it is there; else a minute or more, by what there is to install. */
export async function namespaceDisk(contents: DiskContents): Promise<CacheEntry> {
  const suite = DEBIAN_SUITES[contents.debian];
  const packages = contents.packages.toSorted();
  const debian = { suite, variant: "minbase", packages, without: [], on: commonDebian(suite) } as const;
  const files = { ...FILES, ...contents.files };
  return cached(`namespaces-${suite}`, { debian, files, MASKED, DISK_BYTES }, async (target) => {
    requireRoot();
    using work = temporaryDirectory("building-", cacheDirectory());
    const root = join(work.path, "root");
    await installDebian(debian, root);
    writeGuestFiles(root, files);
    maskUnits(root, MASKED);
    enableNetworkd(root);
    placeKmonte(root);
    await makeFileSystem(root, target, "lab", DISK_BYTES);
  });
}
