/**
 * The mark on an image that has been thawed, for other machines and for those who look at it: this machine has a register
 * of its own (register.ts). It stands beside the image's files, outside the manifest, in steps: `releasing`, on disk before any process goes on; `released`, once all have; `removed` when the
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
import { join } from "node:path";
import * as v from "valibot";
import { syncDirectory } from "../../lib/sync-directory.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { Defect } from "../../errors/wrong-input.ts";
import { errnoOf } from "../../lib/no-such-file.ts";
import { presentBoot } from "../../sys/boot.ts";
import { kernelRelease } from "../../lib/kernel.ts";

/** Of an image that has been removed, this stays. */
export const MARK = "thawed.json";
const LARGEST_MARK = 4096;

const markSchema = v.strictObject({
  step: v.picklist(["releasing", "released", "removed"]),
  at: v.string(),
  kernel: v.string(),
  bootId: v.string(),
});
export type ThawedMark = v.InferOutput<typeof markSchema>;

/** The image's mark; undefined when it has never been thawed. */
function readThawedMark(directory: string, shown = directory): ThawedMark | undefined {
  const bytes = readMarkBytes(directory);
  if (bytes === undefined) return undefined;
  try {
    return v.parse(markSchema, JSON.parse(bytes.toString("utf8")));
  } catch (cause) {
    // The mark is renamed into place whole: this one was not written by us.
    throw failures.THAWED_MARK_BROKEN({ shown, mark: MARK, path: join(directory, MARK), cause });
  }
}

/**
 * Refuses an image whose processes went on already, as far as its mark tells. Of one that was about to be released, the
 * register of the machine knows better (register.ts), unless that was in another boot or on another machine.
 * `shown` is what people call the directory.
 */
export function refuseThawed(directory: string, shown = directory): void {
  const mark = readThawedMark(directory, shown);
  if (mark?.step === "removed") throw alreadyThawed(mark, shown, "Nothing is kept of it.");
  if (mark?.step === "released") throw alreadyThawed(mark, shown, AGAIN);
  if (mark && mark.bootId !== presentBoot()) throw notKnown(mark.at, shown);
}

const AGAIN = "kmonte thaw --again takes them back to the moment of the freeze.";

/** A thaw was cut short between the last step before the processes went on and the first after it. */
export function notKnown(at: string | undefined, shown: string): Refusal {
  return failures.THAW_CUT_SHORT({ shown, at, remedy: AGAIN });
}

/** Says so where there is no image any more because it was thawed and then removed. */
export function refuseRemoved(directory: string, shown: string): void {
  const mark = readThawedMark(directory, shown);
  if (mark?.step === "removed") throw alreadyThawed(mark, shown, "Nothing is kept of it.");
}

/** `at` and `kernel` say when and where its processes went on. */
export function alreadyThawed(
  { at, kernel }: Pick<ThawedMark, "at" | "kernel">,
  shown: string,
  remedy: string = AGAIN,
): Refusal {
  return failures.ALREADY_THAWED({ shown, at, kernel, remedy });
}

/** An image that is about to be released. */
export interface Marked {
  /** All its processes have gone on. */
  released(): void;
  /** None has: the image is as it was. */
  takeBack(): void;
}

/**
 * Marks an image, on disk, before any of its processes goes on. Undefined when it cannot be written to: the register of
 * the machine knows of it, and other machines do not.
 */
export function markThawed(directory: string): Marked | undefined {
  const before = readMarkBytes(directory);
  try {
    writeMark(directory, markBytes("releasing"));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
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
  if (mark === undefined) throw new Defect("an image that was not thawed is not removed");
  if (mark.step === "removed") return;
  writeMark(directory, Buffer.from(`${JSON.stringify({ ...mark, step: "removed" } satisfies ThawedMark)}\n`));
}

function markBytes(step: ThawedMark["step"]): Buffer {
  const mark: ThawedMark = { step, at: new Date().toISOString(), kernel: kernelRelease(), bootId: presentBoot() };
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
