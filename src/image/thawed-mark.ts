/**
 * The mark on an image that has been thawed, so that no process lives twice. It stands beside the image's files, outside
 * the manifest, in steps: `releasing`, on disk before any process goes on; `released`, once all have; `removed` when the
 * memory of the processes is no longer kept, and the mark is all that stays.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { syncDirectory } from "../lib/sync-directory.ts";
import { KmonteError, Refusal } from "../lib/errors.ts";
import { errnoOf } from "../lib/gone.ts";

const MARK = "thawed.json";
const LARGEST_MARK = 4096;

const markSchema = v.strictObject({
  step: v.picklist(["releasing", "released", "removed"]),
  at: v.string(),
  kernel: v.string(),
  bootId: v.string(),
});
export type ThawedMark = v.InferOutput<typeof markSchema>;

/** The image's mark; undefined when it has never been thawed. */
export function readThawedMark(directory: string, shown = directory): ThawedMark | undefined {
  const bytes = readMarkBytes(directory);
  if (bytes === undefined) return undefined;
  try {
    return v.parse(markSchema, JSON.parse(bytes.toString("utf8")));
  } catch (cause) {
    // The mark is renamed into place whole: this one was not written by us.
    const facts = { path: join(directory, MARK) };
    throw new Refusal(
      "THAWED_MARK_BROKEN",
      {
        what: `Whether ${shown} was thawed before is not known.`,
        why: `Its ${MARK} cannot be read as a mark.`,
        remedy: "Remove that file only if you know that the processes did not go on from this image.",
      },
      facts,
      cause,
    );
  }
}

/**
 * Refuses an image whose processes went on already. An image that was only about to be released was not: whoever thawed
 * it was ended, or the machine was, in that moment; should they live all the same, their ids are taken. `shown` is what
 * people call the directory.
 */
export function refuseThawed(directory: string, shown = directory): void {
  const mark = readThawedMark(directory, shown);
  if (mark?.step === "removed") throw alreadyThawed(mark, shown, "Nothing is kept of it.");
  if (mark?.step === "released")
    throw alreadyThawed(mark, shown, "kmonte thaw --again takes them back to the moment of the freeze.");
}

/** Says so where there is no image any more because it was thawed and then removed. */
export function refuseRemoved(directory: string, shown: string): void {
  const mark = readThawedMark(directory, shown);
  if (mark?.step === "removed") throw alreadyThawed(mark, shown, "Nothing is kept of it.");
}

function alreadyThawed({ at, kernel }: ThawedMark, shown: string, remedy: string): Refusal {
  return new Refusal(
    "ALREADY_THAWED",
    {
      what: `The image in ${shown} has been thawed already.`,
      why: `Its processes went on at ${at}, on Linux ${kernel}; files and peers have gone on with them.`,
      remedy,
    },
    { path: shown },
  );
}

/** An image that is about to be released. */
export interface Marked {
  /** All its processes have gone on. */
  released(): void;
  /** None has: the image is as it was. */
  takeBack(): void;
}

/**
 * Marks an image, on disk, before any of its processes goes on. One that cannot be written to is refused; `again` does
 * without the mark, as it was asked not to heed it.
 */
export function markThawed(directory: string, again: boolean): Marked {
  const before = readMarkBytes(directory);
  try {
    writeMark(directory, markBytes("releasing"));
  } catch (cause) {
    if (again) return { released: () => undefined, takeBack: () => undefined };
    throw new KmonteError(
      "THAWED_MARK_NOT_WRITTEN",
      {
        what: "Nothing was thawed: the image could not be marked as thawed.",
        why: `Writing ${join(directory, MARK)} answered ${(cause as NodeJS.ErrnoException).code}.`,
        remedy: "Copy the image to where it can be written, or thaw with --again, which does without the mark.",
      },
      { facts: { path: join(directory, MARK) }, cause },
    );
  }
  return {
    released: () => writeMark(directory, markBytes("released")),
    takeBack() {
      if (before) writeMark(directory, before);
      else removeMark(directory);
    },
  };
}

/** Notes, on disk, that the contents of an image that was thawed are about to go. When it was thawed stays known. */
export function markRemoved(directory: string): void {
  const mark = readThawedMark(directory);
  if (mark === undefined) throw new RangeError("an image that was not thawed is not removed");
  if (mark.step === "removed") return;
  writeMark(directory, Buffer.from(`${JSON.stringify({ ...mark, step: "removed" } satisfies ThawedMark)}\n`));
}

function markBytes(step: ThawedMark["step"]): Buffer {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const mark: ThawedMark = { step, at: new Date().toISOString(), kernel: release(), bootId };
  return Buffer.from(`${JSON.stringify(mark)}\n`);
}

/** Undefined where there is none. What is no file, or too large for a mark, was put there by others: it reads as nothing said. */
function readMarkBytes(directory: string): Buffer | undefined {
  let file: number;
  try {
    file = openSync(join(directory, MARK), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return undefined;
    if (errno === "ELOOP" || errno === "ENXIO") return Buffer.alloc(0);
    throw error;
  }
  try {
    const found = fstatSync(file);
    return found.isFile() && found.size <= LARGEST_MARK ? readFileSync(file) : Buffer.alloc(0);
  } finally {
    closeSync(file);
  }
}

/** A power cut leaves the old mark or the new one, never half of one. */
function writeMark(directory: string, bytes: Buffer): void {
  const path = join(directory, MARK);
  rmSync(`${path}.new`, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = openSync(`${path}.new`, flags, 0o600);
  try {
    writeSync(file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  syncDirectory(directory);
}

function removeMark(directory: string): void {
  rmSync(join(directory, MARK), { force: true });
  syncDirectory(directory);
}
