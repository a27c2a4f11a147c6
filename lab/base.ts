/** The guest's Debian, without kernels. */
import { commonDebian, type Debian, DEBIAN_SUITES, debianTar, type DebianRelease } from "./bootstrap.ts";
import type { CacheEntry } from "./cache.ts";

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

/** What the lab and the making of an initramfs need. */
const PACKAGES = ["udev", INITRAMFS_TOOLS, "lz4", "zstd", "kexec-tools", "redis-server", "redis-tools", "openssl"];

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

/** Texts for people who are not there; it has neither a device mapper nor a keyboard: half of its initramfs. */
const WITHOUT = [
  "/usr/share/man/*",
  ...["dmsetup", "keymap", "thermal"].map((hook) => `/usr/share/initramfs-tools/hooks/${hook}`),
];

function contents({ more, ...system }: GuestSystem): Debian {
  const { debian, kind, initramfs = INITRAMFS_TOOLS } = system;
  const suite = DEBIAN_SUITES[debian];
  if (more) return { suite, variant: "minbase", packages: more, without: [], on: contents(system) };
  const on = commonDebian(suite);
  const own = kind === "server" ? SERVER_PACKAGES : [...PACKAGES, "nginx-light"];
  const packages = own.map((name) => (name === INITRAMFS_TOOLS ? initramfs : name));
  if (kind === "server") return { suite, variant: "important", packages, without: WITHOUT, on };
  return { suite, variant: "minbase", packages, without: [...WITHOUT, "/usr/share/initramfs-tools/hooks/fsck"], on };
}

/** The tar of the guest's root file system. */
export async function guestBase(system: GuestSystem): Promise<CacheEntry> {
  return debianTar(contents(system));
}
