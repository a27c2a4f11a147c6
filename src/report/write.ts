/** Putting a report into the file that a person or a setting names. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { failures } from "../errors/catalogue.ts";
import { KmonteError, type Refusal } from "../errors/failure.ts";
import { errnoOf } from "../lib/no-such-file.ts";
import { replaceFile } from "../lib/replace-file.ts";
import { remedyFor } from "../lib/system-failure.ts";

/** Replaces the file if there is one; whoever reads it meanwhile has the old one whole. */
export function writeReport(file: string, text: string, mode = 0o666 & ~process.umask()): void {
  const path = resolve(file);
  try {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there && !there.isFile()) throw notAFile(path);
    replaceFile(path, text, mode);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined || cause instanceof KmonteError) throw cause;
    const { syscall = "write" } = cause as NodeJS.ErrnoException;
    throw failures.REPORT_NOT_WRITTEN({
      path,
      syscall,
      errno,
      remedy: remedyFor(errno) ?? REMEDIES[errno]?.(path) ?? "Name another file.",
      cause,
    });
  }
}

const REMEDIES: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `Make its folder first: mkdir -p ${dirname(path)}`,
  ENOTDIR: () => "A part of the path is no folder: name another one.",
  ENAMETOOLONG: () => "Give it a shorter name.",
};

/** A device or a FIFO, say, would be gone afterwards. */
function notAFile(path: string): Refusal {
  return failures.REPORT_NOT_A_FILE({ path });
}
