/** kmonte as its package installs it, on a disk of its own: compiled files, Node and the libraries it runs on. */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { releasedLibraries, writeReleaseTree } from "../scripts/release-tree.ts";
import { cached, CHECKOUT, type CacheEntry } from "./cache.ts";
import { KMONTE_LABEL, makeFileSystem } from "./guest-image.ts";
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

/** A digest over the names and contents of all files in these places. */
function digestOfTree(...places: string[]): string {
  const hash = createHash("sha256");
  const visit = (path: string): void => {
    if (statSync(path).isDirectory()) {
      for (const name of readdirSync(path).sort()) visit(join(path, name));
    } else {
      hash
        .update(`${relative(CHECKOUT, path)}\0`)
        .update(readFileSync(path))
        .update("\0");
    }
  };
  for (const place of places) visit(place);
  return hash.digest("hex");
}
