/** kmonte's Debian package, to be installed in a machine of the lab; not compressed, so that it is made in seconds. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import { DEB_SOURCES, makeDeb } from "../scripts/deb.ts";
import { releasedLibraries } from "../scripts/release-tree.ts";
import { cached, CHECKOUT, digestOfTree, type CacheEntry } from "./cache.ts";
import { temporaryDirectory } from "./lifetime.ts";

/** The package, made anew only when what it is made from has changed. */
export async function kmonteDeb(version?: string): Promise<CacheEntry> {
  const sources = digestOfTree(...DEB_SOURCES.map((name) => join(CHECKOUT, name)));
  const recipe = { sources, libraries: releasedLibraries(), version };
  return cached("kmonte-deb", recipe, async (target) => {
    using work = temporaryDirectory("kmonte-deb-");
    renameSync(makeDeb(work.path, { ...(version !== undefined && { version }), compression: "none" }), target);
  });
}
