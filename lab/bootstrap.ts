/**
 * Debian with the packages that a machine of the lab needs. Each release is installed once, by mmdebstrap(1), with what
 * every machine has; all others are a copy of that with more packages on top.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../scripts/packages.ts";
import { cached, type CacheEntry, cacheDirectory } from "./cache.ts";
import { packRoot, unpackRoot } from "./guest-root.ts";
import { EATMYDATA, installPackages } from "./install-packages.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { DEBIAN_KEYRING, debianMirror } from "./mirror.ts";
import { runTool } from "./tool.ts";

/** Debian's releases, with the names that the archive has them under. */
export const DEBIAN_SUITES = { "12": "bookworm", "13": "trixie" } as const;

export type DebianRelease = keyof typeof DEBIAN_SUITES;

/** A system to log in to, and what kmonte runs and calls. */
const PACKAGES = ["systemd", "systemd-sysv", "dbus", "procps", "iproute2", "kmod", "nftables", "libstdc++6", "python3"];

/** Texts for people who are not there. Manual pages stay: some packages need their folders to be configured. */
const WITHOUT = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*"];

/** Where dpkg(1) finds what it leaves out. */
const DPKG_SETTINGS = "etc/dpkg/dpkg.cfg.d/lab";

export interface Debian {
  /** A value of DEBIAN_SUITES. */
  readonly suite: string;
  /** minbase: the essential packages and apt; important: what the installer puts onto every machine too. */
  readonly variant: "minbase" | "important";
  /** Packages besides those of the variant. */
  readonly packages: readonly string[];
  /** Shell patterns of paths that are not installed. */
  readonly without: readonly string[];
  /** What it is installed onto, with all that is in there. */
  readonly on?: Debian;
}

/** What all Debians of a suite are installed onto. */
export function commonDebian(suite: string): Debian {
  return { suite, variant: "minbase", packages: PACKAGES, without: WITHOUT };
}

/** The tar of a Debian. Half a minute or more when it is not in the cache. */
export async function debianTar(debian: Debian): Promise<CacheEntry> {
  const { suite, on } = debian;
  return cached(`debian-${suite}`, debian, async (target) => {
    if (!on) return bootstrap(debian, target);
    using work = temporaryDirectory("building-", cacheDirectory());
    const root = join(work.path, "root");
    await installDebian({ ...debian, on }, root);
    await packRoot(root, target);
  });
}

/** Installs a Debian onto a copy of another one, in a directory that it makes; that must be on the disk of the cache. */
export async function installDebian(debian: Debian & { readonly on: Debian }, root: string): Promise<void> {
  const { path } = await debianTar(debian.on);
  await unpackRoot(path, root);
  writeFileSync(join(root, DPKG_SETTINGS), dpkgSettings(withoutIn(debian)));
  await runTool("sh", ["-c", removing(debian.without), root]);
  const important = debian.variant === "important" ? ["?or(?priority(required),?priority(important))"] : [];
  await installPackages(root, [...important, ...debian.packages]);
}

function withoutIn({ on, without }: Debian): string[] {
  return [...(on ? withoutIn(on) : []), ...without];
}

/** Installs a Debian by mmdebstrap(1), and leaves the package lists in it for what is installed onto it. */
async function bootstrap({ suite, variant, packages, without }: Debian, tar: string): Promise<void> {
  ensurePackages(["mmdebstrap", EATMYDATA.package]);
  // By --dpkgopt, mmdebstrap would filter each archive in Perl, which takes longer than all the rest.
  const exclude = `printf %s '${dpkgSettings(without)}' >"$1"/${DPKG_SETTINGS}`;
  const args = [
    "--mode=root",
    `--variant=${variant}`,
    `--include=${packages.join(",")}`,
    `--setup-hook=install -D /${EATMYDATA.path} "$1/${EATMYDATA.path}"`,
    `--essential-hook=${exclude}`,
    `--customize-hook=sh -c '${removing(without)} ./${EATMYDATA.path}*' "$1"`,
    "--skip=cleanup/apt/lists",
    "--format=tar",
    suite,
    tar,
    `deb [signed-by=${DEBIAN_KEYRING}] ${debianMirror()} ${suite} main`,
  ];
  await runTool("mmdebstrap", args, { env: EATMYDATA.env });
}

function dpkgSettings(without: readonly string[]): string {
  return without.map((pattern) => `path-exclude=${pattern}\n`).join("");
}

/** A script that removes, in the directory $0, what was installed before it was to be left out. */
function removing(without: readonly string[]): string {
  return `cd "$0" && rm -rf ${without.map((pattern) => `.${pattern}`).join(" ")}`;
}
