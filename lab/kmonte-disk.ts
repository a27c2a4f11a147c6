/** kmonte as its package installs it, on a disk of its own: compiled files, Node and the libraries it runs on. */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { releasedLibraries, writeReleaseTree } from "../scripts/release-tree.ts";
import { cached, CHECKOUT, digestOfTree, type CacheEntry } from "./cache.ts";
import { KMONTE_LABEL, makeFileSystem } from "./guest-image.ts";
import { kmonteDeb } from "./kmonte-deb.ts";
import { temporaryDirectory } from "./lifetime.ts";

const DISK_BYTES = 320 * 2 ** 20;

/** The disk image, made anew only when the sources or the locked libraries changed. */
export async function kmonteDisk(): Promise<CacheEntry> {
  const sources = digestOfTree(
    ...["src", "bin", "systemd", "scripts/bundle.ts", "scripts/release-tree.ts"].map((name) => join(CHECKOUT, name)),
  );
  const libraries = releasedLibraries().map(({ path, version }) => `${path}@${version}`);
  const recipe = { sources, libraries, DISK_BYTES };
  return cached("kmonte", recipe, async (target) => {
    using work = temporaryDirectory("kmonte-disk-");
    const tree = join(work.path, "tree");
    await writeReleaseTree(tree);
    await makeFileSystem(tree, target, KMONTE_LABEL, DISK_BYTES);
  });
}

/** A disk image with the Debian package alone. */
export async function kmonteDebDisk(): Promise<CacheEntry> {
  const deb = await kmonteDeb();
  return cached("kmonte-deb-disk", { deb: deb.key, DISK_BYTES }, async (target) => {
    using work = temporaryDirectory("kmonte-disk-");
    const tree = join(work.path, "tree");
    mkdirSync(tree);
    copyFileSync(deb.path, join(tree, "kmonte.deb"));
    await makeFileSystem(tree, target, KMONTE_LABEL, DISK_BYTES);
  });
}
