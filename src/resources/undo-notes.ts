/**
 * What must be undone should kmonte be killed: a note for each such thing, on disk and locked (flock(2)) for as long as
 * we live. A note without a lock is one that a killed kmonte has left; image/remove-leftovers.ts acts upon it.
 */
import { closeSync, writeSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { mkdirSync, renameSync, rmSync } from "../sys/files.ts";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { call } from "../sys/call.ts";
import { LOCK_EX_NB } from "../abi/locks.ts";
import { O } from "../abi/fcntl.ts";
import { asOurselves } from "../sys/identity.ts";
import type { LocalFd } from "../lib/brand.ts";
import { stateDirectory } from "../lib/state-directory.ts";
import { openPath } from "./file/path-file.ts";

const userSchema = v.object({ uid: v.number(), gid: v.number(), groups: v.pipe(v.array(v.number()), v.readonly()) });

export const unfinishedSchema = v.variant("kind", [
  /** The directory of an image (image/directory.ts): `name` in the folder `parent`, made with the rights of `user`. */
  v.object({ kind: v.literal("image"), parent: v.string(), name: v.string(), user: v.optional(userSchema) }),
  /** An empty folder of ours. */
  v.object({ kind: v.literal("folder"), path: v.string() }),
]);
export type Unfinished = v.InferOutput<typeof unfinishedSchema>;

/** Where notes are; their names begin with what all of one run have in common, {@link runOf}. */
export function notesDirectory(): string {
  return join(stateDirectory(), "unfinished");
}

const RUN = `${process.pid}.${Date.now()}`;
let count = 0;

/** The part of a note's name that tells the run of kmonte that wrote it. */
export function runOf(name: string): string {
  return name.slice(0, name.lastIndexOf("-"));
}

/** How a note is called until it is locked and whole. */
export const NEW = ".new";

/** Writes a note; disposing of it says that nothing is to be undone any more. Where none can be written, none is kept. */
export function noteUnfinished(what: Unfinished): Disposable {
  return asOurselves(() => {
    count += 1;
    const folder = OWN_VIEW.at(notesDirectory());
    const path = OWN_VIEW.at(join(folder, `${RUN}-${count}`));
    const unfinished = OWN_VIEW.at(path + NEW);
    let fd: LocalFd | undefined;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      fd = openPath(unfinished, O.O_RDWR | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW, 0o600);
      call("flock", "Locking a note", fd, LOCK_EX_NB);
      writeSync(fd, `${JSON.stringify(what)}\n`);
      renameSync(unfinished, path);
    } catch {
      // What it would have told goes with the next freeze to the same place.
      if (fd !== undefined) closeSync(fd);
      return { [Symbol.dispose]: () => undefined };
    }
    let held: LocalFd | undefined = fd;
    return {
      [Symbol.dispose]: () => {
        // Once only: the number of the descriptor may be another's by then.
        if (held === undefined) return;
        asOurselves(() => rmSync(path, { force: true }));
        closeSync(held);
        held = undefined;
      },
    };
  });
}
