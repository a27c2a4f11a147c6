/**
 * Where kmonte's own files are: the folder of its sources, or of the compiled and bundled ones. Both have the same
 * layout as far as programs that are started by themselves are concerned: FOLDER/NAME, one level deep.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const FILES = resolve(import.meta.dirname, "..");
/** The sources are run as they are; what is released is compiled. */
const ENDING = existsSync(join(FILES, "cli/main.ts")) ? ".ts" : ".js";

/** The file of a program or of a thread of its own, such as `freeze/worker`. */
export function programFile(name: string): string {
  return join(FILES, `${name}${ENDING}`);
}

/** A file of the project or package beside the sources, such as `bin/kmonte`. */
export function projectFile(path: string): string {
  return resolve(FILES, "..", path);
}
