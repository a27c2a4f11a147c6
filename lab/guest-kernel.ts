/** One of Debian's kernels with its modules and an initramfs, laid out as an installation has them. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../scripts/packages.ts";
import { guestBase, type GuestSystem, SLIM } from "./base.ts";
import { cached, type CacheEntry } from "./cache.ts";
import { INITRAMFS_MAKERS, type InitramfsMaker, runInRoot, unpackRoot, writeGuestFiles } from "./guest-root.ts";
import { suiteOf, unpackKernel } from "./kernel-packages.ts";
import { temporaryDirectory } from "./lifetime.ts";

export interface GuestKernel {
  /** A tree to lay over the root: boot/ and usr/lib/modules/. */
  readonly tree: string;
  readonly key: string;
  /** As `uname -r` says it. */
  readonly release: string;
  readonly vmlinuz: string;
  readonly initrd: string;
}

/**
 * The kernel of that version with the initramfs that a system makes for it, from the cache when it is there. `version` is
 * a key of KERNEL_SUITES.
 */
export async function guestKernel(version: string, system: GuestSystem = SLIM): Promise<GuestKernel> {
  const base = await guestBase(system);
  const maker = INITRAMFS_MAKERS[system.initramfs ?? "initramfs-tools"];
  const recipe = { suite: suiteOf(version), base: base.key, INITRAMFS_FILES: maker.files };
  const entry = await cached(`kernel-${version}`, recipe, async (target) => {
    ensurePackages(["cpio"]);
    const { path } = await kernelFiles(version);
    cpSync(path, target, { recursive: true });
    using work = temporaryDirectory("kmonte-kernel-");
    await addInitramfs(maker, base.path, work.path, target);
  });
  const release = releaseOf(entry.path);
  const inBoot = (name: string) => join(entry.path, "boot", `${name}-${release}`);
  return { tree: entry.path, key: entry.key, release, vmlinuz: inBoot("vmlinuz"), initrd: inBoot("initrd.img") };
}

/** The kernel and its modules as its packages have them, for all guests alike. */
async function kernelFiles(version: string): Promise<CacheEntry> {
  return cached(`kernel-files-${version}`, { suite: suiteOf(version) }, async (target) => {
    using work = temporaryDirectory("kmonte-kernel-");
    const unpacked = join(work.path, "unpacked");
    await unpackKernel(version, work.path, unpacked);
    arrange(unpacked, target);
  });
}

/** Keeps boot/ and the modules; puts the kernel into /boot where the packages leave that to a hook (since 7.x). */
function arrange(unpacked: string, target: string): void {
  mkdirSync(join(target, "usr/lib"), { recursive: true });
  mkdirSync(join(target, "boot"));
  const modules = ["usr/lib/modules", "lib/modules"]
    .map((name) => join(unpacked, name))
    .find((name) => existsSync(name));
  if (!modules) throw new Error("the kernel packages hold no modules");
  cpSync(modules, join(target, "usr/lib/modules"), { recursive: true });
  const boot = join(unpacked, "boot");
  if (existsSync(boot)) cpSync(boot, join(target, "boot"), { recursive: true });
  const release = releaseOf(target);
  for (const name of ["vmlinuz", "config", "System.map"]) {
    const inModules = join(target, "usr/lib/modules", release, name);
    const inBoot = join(target, "boot", `${name}-${release}`);
    if (!existsSync(inBoot) && existsSync(inModules)) copyFileSync(inModules, inBoot);
  }
}

/** Runs depmod and the maker of the guest's own Debian. */
async function addInitramfs(maker: InitramfsMaker, baseTar: string, work: string, target: string): Promise<void> {
  const root = join(work, "root");
  const release = releaseOf(target);
  await unpackRoot(baseTar, root);
  writeGuestFiles(root, maker.files);
  cpSync(target, root, { recursive: true });
  const initrd = `/boot/initrd.img-${release}`;
  await runInRoot(root, ["depmod", release]);
  await runInRoot(root, maker.command(initrd, release));
  for (const name of readdirSync(join(root, "usr/lib/modules", release))) {
    if (!name.startsWith("modules.")) continue;
    copyFileSync(join(root, "usr/lib/modules", release, name), join(target, "usr/lib/modules", release, name));
  }
  renameSync(join(root, initrd), join(work, "initrd"));
  copyFileSync(join(work, "initrd"), join(target, initrd));
}

function releaseOf(tree: string): string {
  const [release] = readdirSync(join(tree, "usr/lib/modules"));
  if (!release) throw new Error(`no modules directory in ${tree}`);
  return release;
}
