/** Making a name that was just given, or taken away, last through a power cut. */
import { closeSync, fsyncSync, openSync } from "node:fs";

/** fsync(2) of a directory: its entries are on disk when this returns. Throws Node's own errors. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
