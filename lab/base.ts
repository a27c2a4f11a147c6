/** The guest's Debian, without kernels: a tar of what mmdebstrap installs. */
import { bootstrap, type Debian, DEBIAN_SUITES, type DebianRelease } from "./bootstrap.ts";
import { cached, type CacheEntry } from "./cache.ts";

/** What a guest is like. */
export interface GuestSystem {
  readonly debian: DebianRelease;
  /** slim: boots quickly, for programs started one by one; server: as Debian is installed on a server, nothing masked. */
  readonly kind: "slim" | "server";
  /** Packages besides those that every guest of the kind has. */
  readonly more?: readonly string[];
  /** What makes its initramfs; initramfs-tools, unless this is said. */
  readonly initramfs?: "initramfs-tools" | "dracut";
}

export const SLIM: GuestSystem = { debian: "12", kind: "slim" };

/** The slim one with the other maker of initramfs that Debian has. */
export const SLIM_WITH_DRACUT: GuestSystem = { ...SLIM, initramfs: "dracut" };

const INITRAMFS_TOOLS = "initramfs-tools";

/** What kmonte, the lab and the making of an initramfs need. */
const PACKAGES = [
  "systemd",
  "systemd-sysv",
  "udev",
  "dbus",
  "kmod",
  "procps",
  "iproute2",
  INITRAMFS_TOOLS,
  "lz4",
  "zstd",
  "kexec-tools",
  "redis-server",
  "redis-tools",
  "python3",
  "nftables",
  "openssl",
];

/** More services, people who log in, and what they work with; the rest of a server is in the variant. */
const SERVER_PACKAGES = [
  ...PACKAGES,
  "nginx",
  "openssh-server",
  "memcached",
  "libpam-systemd",
  "dma",
  "tmux",
  "vim-tiny",
  "e2fsprogs",
];

/** Texts for people who are not there. */
export const MANUALS = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*"];

/** The guest has neither a device mapper nor a keyboard; without them its initramfs is half as large. */
const WITHOUT = ["dmsetup", "keymap", "thermal"].map((hook) => `/usr/share/initramfs-tools/hooks/${hook}`);

function contents({ debian, kind, initramfs = INITRAMFS_TOOLS, more = [] }: GuestSystem): Debian {
  const suite = DEBIAN_SUITES[debian];
  const own = kind === "server" ? SERVER_PACKAGES : [...PACKAGES, "nginx-light"];
  const packages = [...own.map((name) => (name === INITRAMFS_TOOLS ? initramfs : name)), ...more];
  if (kind === "server") return { suite, variant: "important", packages, without: [...WITHOUT, ...MANUALS] };
  return { suite, packages, without: [...MANUALS, ...WITHOUT, "/usr/share/initramfs-tools/hooks/fsck"] };
}

/** The tar of the guest's root file system. About a minute and a half when it is not in the cache. */
export async function guestBase(system: GuestSystem): Promise<CacheEntry> {
  const debian = contents(system);
  return cached(`base-${nameOf(system)}`, debian, (target) => bootstrap(debian, "tar", target));
}

/** In the names of files that hold it or were made for it. */
function nameOf({ debian, kind, initramfs }: GuestSystem): string {
  return [debian, kind, initramfs].filter(Boolean).join("-");
}
