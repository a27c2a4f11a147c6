/** Telling "it is not there" from "it could not be looked at": only the first may be taken for nothing. */
import { KmonteError } from "../errors/failure.ts";

/** The file, process or right is not there; anything else (EMFILE, ENOMEM, EIO …) is a failure of the look itself. */
const GONE: ReadonlySet<string | undefined> = new Set(["ENOENT", "ESRCH", "ENOTDIR", "EACCES", "EPERM", "ELOOP"]);

/** The errno's name of a failed system call, whether Node or we made it. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof KmonteError) return error.facts.errno;
  const { code } = error as NodeJS.ErrnoException;
  return code !== undefined && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

export function isGone(error: unknown): boolean {
  return GONE.has(errnoOf(error));
}

/** What `look` finds, or `otherwise` when there is nothing to be found; all other failures are thrown on. */
export function orIfGone<T, U>(look: () => T, otherwise: U): T | U {
  try {
    return look();
  } catch (error) {
    if (isGone(error)) return otherwise;
    throw error;
  }
}
