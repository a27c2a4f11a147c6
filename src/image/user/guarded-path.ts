/**
 * Whether nobody else could have put something else at a path: owner and mode of every folder above it, as sshd looks at
 * them for the keys of a user (StrictModes in sshd_config(5)).
 */
import { lstatSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";

/** inode(7) */
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Throws a {@link Refusal} where a folder above `path`, as it is written or as it is without symbolic links, belongs to
 * somebody else, or others may rename what stands in it. In a sticky folder only the owner may: of what stands there,
 * the owner is looked at too.
 */
export function requireGuarded(path: string): void {
  for (const start of new Set([resolve(path), realpathSync(path)])) {
    for (let place = start; place !== "/"; place = dirname(place)) {
      const above = dirname(place);
      if (!isOurs(place)) throw exposed(path, place);
      if (!isOurs(above) || !keepsNames(above)) throw exposed(path, above);
    }
  }
}

function isOurs(place: string): boolean {
  const { uid } = lstatSync(place);
  return uid === 0 || uid === process.geteuid?.();
}

/** A link has no mode of its own; what it leads to is looked at by its real path. */
function keepsNames(folder: string): boolean {
  const found = lstatSync(folder);
  return found.isSymbolicLink() || (found.mode & WRITABLE_BY_OTHERS) === 0 || (found.mode & STICKY) !== 0;
}

function exposed(path: string, place: string): Refusal {
  const { uid, mode } = lstatSync(place);
  return failures.KEY_EXPOSED.place({ path, place, uid, mode: (mode & 0o7777).toString(8) });
}
