import { projectFile } from "./program-files.ts";

/** kmonte's own command, as it was started: the same place relative to the sources and to the compiled files. */
export function ownCommand(): string {
  return projectFile("bin/kmonte");
}
