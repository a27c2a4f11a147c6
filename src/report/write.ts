/** Putting a report into the file that a person or a setting names. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { KmonteError, Refusal } from "../lib/errors.ts";
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
    throw new KmonteError(
      "REPORT_NOT_WRITTEN",
      {
        what: `${path} was not written.`,
        why: `The system call ${syscall} failed with ${errno}.`,
        remedy: remedyFor(errno) ?? REMEDIES[errno]?.(path) ?? "Name another file.",
      },
      { facts: { path, syscall, errno }, cause },
    );
  }
}

const REMEDIES: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `Make its folder first: mkdir -p ${dirname(path)}`,
  ENOTDIR: () => "A part of the path is no folder: name another one.",
  ENAMETOOLONG: () => "Give it a shorter name.",
};

/** A device or a FIFO, say, would be gone afterwards. */
function notAFile(path: string): Refusal {
  return new Refusal(
    "REPORT_NOT_A_FILE",
    {
      what: `${path} is not replaced by a report.`,
      why: "It is a folder, a device, a FIFO or a socket.",
      remedy: "Name a file, or - for standard output.",
    },
    { path },
  );
}
