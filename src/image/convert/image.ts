/**
 * Writing an image anew in the present format: with a manifest, digests and a signature of its own, and the memory and
 * contents of files as they are. What is converted has been verified before, and stays as it was until the new one is
 * whole.
 */
import { closeSync, readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { call, withText } from "../../sys/call.ts";
import { O, RENAME } from "../../abi/fcntl.ts";
import { failures } from "../../errors/catalogue.ts";
import { syncDirectory } from "../../lib/sync-directory.ts";
import type { ReadableFd } from "../../resources/file/readable.ts";
import { openPath } from "../../resources/file/path-file.ts";
import type { Move } from "../../tracee/end-all.x86_64.ts";
import type { AgeIdentity } from "../encryption/age-keys.ts";
import { below } from "../directory.ts";
import { AGE } from "../files.ts";
import { STATE } from "../manifest.ts";
import { readImage, type Image } from "../read.ts";
import { refuseThawed } from "../thawed/mark.ts";
import { refuseRegistered } from "../thawed/register.ts";
import { FORMAT_VERSION } from "../version.ts";
import { checkTarget, ImageWriter, jsonBytes } from "../write.ts";

export interface ConvertOptions {
  /** The image, in the present format or an older one. */
  readonly directory: string;
  /** Where the converted image goes: a directory that is empty or does not exist. Without it, in the place of the image. */
  readonly output?: string | undefined;
  /** Takes an image whoever wrote it. */
  readonly unsigned?: boolean | undefined;
  /** The keys that an encrypted image is opened with; whoever could open it can open the converted one. */
  readonly identities?: readonly AgeIdentity[] | undefined;
}

export interface Conversion {
  /** Where the converted image is. */
  readonly directory: string;
  readonly from: number;
  readonly to: number;
  /** Bytes of the files of the image. */
  readonly bytes: number;
}

/**
 * Converts an image to the present format. One that is of that format already is only given back. Throws a
 * {@link Refusal} when the image is not whole, not trusted, cannot be opened, has been thawed, or cannot be converted.
 */
export function convertImage({ directory, output, unsigned = false, identities }: ConvertOptions): Conversion {
  if (output !== undefined) checkTarget(output);
  using image = readImage(directory, { unsigned, identities });
  const { manifest, format } = image;
  const bytes = manifest.files.reduce((sum, { size }) => sum + size, 0);
  const done = (where: string): Conversion => ({ directory: where, from: format, to: FORMAT_VERSION, bytes });
  if (format === FORMAT_VERSION) {
    if (output !== undefined) throw failures.FORMAT_PRESENT({ directory, supported: FORMAT_VERSION });
    return done(directory);
  }
  refuseLived(image);
  const target = resolve(output ?? directory);
  using writer = new ImageWriter(target, {
    of: { createdAt: manifest.createdAt, expiresAt: manifest.expiresAt, machine: manifest.machine, origin: image.id },
  });
  copyFiles(image, writer);
  const state = image.files.encryptAs(STATE, jsonBytes(image.state));
  writer.blob(state.name, state);
  writer.seal();
  if (output === undefined) writer.publish((move) => exchange(move));
  else writer.publish();
  return done(target);
}

/** Everything but what is converted, byte by byte; holes stay holes, and what is encrypted stays it. */
function copyFiles({ manifest, files }: Image, writer: ImageWriter): void {
  for (const { name } of manifest.files) {
    if (name === STATE || name === STATE + AGE) continue;
    const fd = files.raw(name);
    try {
      writer.blob(name, { fd: fd as ReadableFd });
    } finally {
      closeSync(fd);
    }
  }
}

/** What its processes do is not in it any more: kmonte thaw --again takes it as it is. */
function refuseLived({ place, directory, id }: Image): void {
  refuseThawed(place, directory);
  refuseRegistered({ id, shown: directory, again: false });
}

/**
 * The new image takes the place of the old one in one step; then the old one goes. Should kmonte be killed in between,
 * what is left of it lies beside, in a folder whose name begins with a dot.
 */
function exchange({ parent, from, to, unfinished, moved }: Move): void {
  withText(from, (one) =>
    withText(to, (other) =>
      call("renameat2", `Giving ${to} its name`, parent, one, parent, other, RENAME.RENAME_EXCHANGE),
    ),
  );
  moved();
  unlinkSync(`${to}/${unfinished}`);
  syncDirectory(dirname(from));
  removeOld(from);
}

/** What somebody else has put beside the image's files, such as a folder, stays. */
function removeOld(path: string): void {
  const old = openPath(OWN_VIEW.at(path), O.O_DIRECTORY | O.O_NOFOLLOW);
  try {
    for (const name of readdirSync(below(old, ""))) quietly(() => unlinkSync(below(old, name)));
    quietly(() => rmdirSync(path));
  } finally {
    closeSync(old);
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // Not ours to remove.
  }
}
