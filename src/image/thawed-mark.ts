/**
 * The mark on an image that has been thawed, so that no process lives twice. It stands beside the image's files, outside
 * the manifest, in two steps: `releasing`, on disk before any process goes on; `released`, once all have.
 */
import { closeSync, constants, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { syncDirectory } from "../lib/sync-directory.ts";
import { KmonteError, Refusal } from "../lib/errors.ts";

const MARK = "thawed.json";

const markSchema = v.strictObject({
  step: v.picklist(["releasing", "released"]),
  at: v.string(),
  kernel: v.string(),
  bootId: v.string(),
});
export type ThawedMark = v.InferOutput<typeof markSchema>;

/** The image's mark; undefined when it has never been thawed. */
export function readThawedMark(directory: string, shown = directory): ThawedMark | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, MARK), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return v.parse(markSchema, JSON.parse(text));
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
  if (mark?.step !== "released") return;
  throw new Refusal(
    "ALREADY_THAWED",
    {
      what: `The image in ${shown} has been thawed already.`,
      why: `Its processes went on at ${mark.at}, on Linux ${mark.kernel}; files and peers have gone on with them.`,
      remedy: "kmonte thaw --again takes them back to the moment of the freeze.",
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

function markBytes(step: ThawedMark["step"]): Buffer {
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const mark: ThawedMark = { step, at: new Date().toISOString(), kernel: release(), bootId };
  return Buffer.from(`${JSON.stringify(mark)}\n`);
}

function readMarkBytes(directory: string): Buffer | undefined {
  try {
    return readFileSync(join(directory, MARK));
  } catch {
    return undefined;
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
