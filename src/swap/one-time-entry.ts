/**
 * What the boot loader starts if the machine restarts through its firmware: for the time of a trial, the kernel that
 * was left, whichever of the loaders that can be told so is there.
 */
import { errnoOf } from "../lib/no-such-file.ts";
import { clearGrubEntry, GrubBlockFull, setGrubEntry } from "./grub.ts";
import { clearLoaderEntry, setLoaderEntry } from "./systemd-boot.ts";

/** Chooses the kernel's entry for the next boot alone; false where no boot loader can be told. */
export function setOneTimeEntry(release: string): boolean {
  // Both may be installed; which of them the firmware starts is not ours to guess.
  const told = [tried(() => setGrubEntry(release)), tried(() => setLoaderEntry(release))];
  return told.includes(true);
}

/** Takes the choice back. */
export function clearOneTimeEntry(): void {
  tried(clearGrubEntry);
  tried(clearLoaderEntry);
}

/** A loader's file that cannot be written (a read-only /boot, a full EFI variable store) is as good as no loader. */
function tried(action: () => boolean | void): boolean {
  try {
    return action() === true;
  } catch (error) {
    if (errnoOf(error) === undefined && !(error instanceof GrubBlockFull)) throw error;
    process.stderr.write(`kmonte: note: the boot loader could not be told: ${(error as Error).message}\n`);
    return false;
  }
}
