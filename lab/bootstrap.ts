/** Debian as mmdebstrap(1) installs it, from the mirror that this machine's own package sources name. */
import { ensurePackages } from "../scripts/packages.ts";
import { DEBIAN_KEYRING, debianMirror } from "./mirror.ts";
import { runTool } from "./tool.ts";

/** Debian's releases, with the names that the archive has them under. */
export const DEBIAN_SUITES = { "12": "bookworm", "13": "trixie" } as const;

export type DebianRelease = keyof typeof DEBIAN_SUITES;

export interface Debian {
  /** A value of DEBIAN_SUITES. */
  readonly suite: string;
  /** minbase: the essential packages and apt; important: what the installer puts onto every machine too. */
  readonly variant?: "minbase" | "important";
  /** Packages besides those of the variant. */
  readonly packages: readonly string[];
  /** Shell patterns of paths that are not installed. */
  readonly without: readonly string[];
}

/** Installs a Debian as a tar file, or as a directory. */
export async function bootstrap(debian: Debian, format: "tar" | "directory", target: string): Promise<void> {
  ensurePackages(["mmdebstrap"]);
  await runTool("mmdebstrap", [
    "--mode=root",
    `--variant=${debian.variant ?? "minbase"}`,
    `--include=${debian.packages.join(",")}`,
    ...debian.without.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    '--customize-hook=rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*',
    `--format=${format}`,
    debian.suite,
    target,
    `deb [signed-by=${DEBIAN_KEYRING}] ${debianMirror()} ${debian.suite} main`,
  ]);
}
