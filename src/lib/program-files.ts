/**
 * Where kmonte's own files are: the folder of its sources, or of the compiled and bundled ones. Both have the same
 * layout as far as programs that are started by themselves are concerned: FOLDER/NAME, one level deep. Found out when it
 * is asked for: what a start-up snapshot holds was loaded elsewhere.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

function folder(): string {
  return resolve(import.meta.dirname, "..");
}

/** The file of a program or of a thread of its own, such as `freeze/worker`. */
export function programFile(name: string): string {
  // The sources are run as they are; what is released is compiled.
  const ending = existsSync(join(folder(), "cli/main.ts")) ? ".ts" : ".js";
  return join(folder(), `${name}${ending}`);
}

/** A file of the project or package beside the sources, such as `bin/kmonte`. */
export function projectFile(path: string): string {
  return resolve(folder(), "..", path);
}
