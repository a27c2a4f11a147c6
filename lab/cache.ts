/**
 * Things that take long to make and never change for the same recipe: kept under a name that holds the recipe's
 * digest, built under a temporary name and renamed when whole, so that an interrupted build leaves nothing behind. Who
 * needs what another program builds right now, waits for it.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { temporaryDirectory } from "./lifetime.ts";
import { lock } from "./lock.ts";

export const CHECKOUT = resolve(import.meta.dirname, "..");

/** Where the lab keeps what it built: $KMONTE_CACHE, or .cache in the checkout. */
export function cacheDirectory(): string {
  const root = process.env["KMONTE_CACHE"] ?? join(CHECKOUT, ".cache");
  const directory = join(root, "lab");
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** A short digest of anything that JSON can hold; key order is the writer's. */
export function digest(recipe: unknown): string {
  return createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 16);
}

export interface CacheEntry {
  readonly path: string;
  readonly key: string;
}

/** The file or directory `name-<digest of recipe>`; `build` makes it at the path that it is given when missing. */
export async function cached(
  name: string,
  recipe: unknown,
  build: (target: string) => Promise<void>,
): Promise<CacheEntry> {
  const key = digest(recipe);
  const path = join(cacheDirectory(), `${name}-${key}`);
  if (existsSync(path)) return { path, key };
  using _lock = await lock(join(dirname(path), "locks", basename(path)));
  if (existsSync(path)) return { path, key };
  using building = temporaryDirectory("building-", dirname(path));
  const target = join(building.path, "result");
  await build(target);
  renameSync(target, path);
  return { path, key };
}

/** A digest over the names and contents of all files in these places. */
export function digestOfTree(...places: string[]): string {
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
