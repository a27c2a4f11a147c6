/** Giving a file new contents: whoever reads its name finds the old ones or the new ones, whole, also after a power cut. */
import { randomBytes } from "node:crypto";
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "./sync-directory.ts";

/** Throws Node's own errors, and leaves nothing behind then. A link of that name is replaced, not followed. */
export function replaceFile(path: string, text: string, mode: number): void {
  const partial = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  const file = openSync(partial, "wx", 0o600);
  try {
    try {
      writeFileSync(file, text);
      fchmodSync(file, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}
