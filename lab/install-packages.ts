/** Installs packages into the root directory of a Debian, by the apt of this machine and the dpkg in there. */
import { copyFileSync, linkSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../scripts/packages.ts";
import { cacheDirectory } from "./cache.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { runTool } from "./tool.ts";

/** libeatmydata: programs do not wait for the disk. It is at the same path in the root directory for as long as that takes. */
export const EATMYDATA = {
  package: "libeatmydata1",
  path: "usr/lib/x86_64-linux-gnu/libeatmydata.so",
  env: { LD_PRELOAD: "libeatmydata.so" },
} as const;

/** Has the maintainer scripts of packages start no service: invoke-rc.d(8). */
const POLICY = "usr/sbin/policy-rc.d";

const ARCHIVES = "var/cache/apt/archives";

/** What installing leaves behind: this library and policy, lists to read anew, caches, logs, and what a boot makes anew. */
const TIDY = `set -e
cd "$0"
rm -rf ${EATMYDATA.path}* ${POLICY}
chroot . ldconfig
find run -mindepth 1 ! -path run/lock -delete
rm -rf var/lib/apt/lists/* var/cache/apt/*.bin ${ARCHIVES}/* var/cache/ldconfig/aux-cache
rm -rf var/log/apt/* var/log/dpkg.log var/log/alternatives.log var/lib/dbus/machine-id`;

/** In namespaces of its own: nothing stays mounted, and what a maintainer script starts ends with it. */
const INSTALL = `set -e
mount -t proc proc "$0/proc"
mount -t sysfs -o ro sysfs "$0/sys"
apt-get update -q --error-on=any
apt-get install -q --yes "$@"`;

const NAMESPACES = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];

/** Installs packages, named as apt-get(8) takes them, without those that they only recommend. */
export async function installPackages(root: string, packages: readonly string[]): Promise<void> {
  ensurePackages([EATMYDATA.package]);
  using work = temporaryDirectory("kmonte-apt-");
  const settings = join(work.path, "apt.conf");
  writeFileSync(settings, aptSettings(root));
  copyFileSync(join("/", EATMYDATA.path), join(root, EATMYDATA.path));
  writeFileSync(join(root, POLICY), "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const pool = join(cacheDirectory(), "packages");
  const archives = join(root, ARCHIVES);
  mkdirSync(pool, { recursive: true });
  mkdirSync(join(archives, "partial"), { recursive: true });
  share(pool, archives);
  await runTool("unshare", [...NAMESPACES, "sh", "-c", INSTALL, root, ...packages], {
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      APT_CONFIG: settings,
      DEBIAN_FRONTEND: "noninteractive",
      DEBCONF_NONINTERACTIVE_SEEN: "true",
      ...EATMYDATA.env,
      TMPDIR: "/tmp",
    },
  });
  share(archives, pool);
  await runTool("sh", ["-c", TIDY, root]);
}

/** Settings by which apt works on that root directory alone, with what is in its /etc/apt. */
function aptSettings(root: string): string {
  const settings: Record<string, string> = {
    "APT::Architecture": "amd64",
    "APT::Architectures": "amd64",
    "APT::Install-Recommends": "false",
    "APT::Sandbox::User": "root",
    "APT::Keep-Downloaded-Packages": "true",
    "Acquire::Languages": "none",
    Dir: root,
    "Dir::State::status": join(root, "var/lib/dpkg/status"),
    "DPkg::Chroot-Directory": root,
    "DPkg::Use-Pty": "false",
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join("");
}

/** Gives each package of one directory a link in the other, on the same file system; apt looks whether it is whole. */
function share(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    if (!name.endsWith(".deb")) continue;
    try {
      linkSync(join(from, name), join(to, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
