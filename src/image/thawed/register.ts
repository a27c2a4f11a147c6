/**
 * What this machine remembers of images whose processes went on here, so that none lives twice: a file for each image,
 * named by the digest of its manifest, which all its copies have. While a thaw lets the processes go on, it has the name
 * with `.about` behind; whether that one is there or the other is the same as whether they have gone on (let-go.x86_64.ts).
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { attempt, call } from "../../sys/call.ts";
import { O } from "../../abi/fcntl.ts";
import { type Identity, asOurselves } from "../../sys/identity.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { errnoOf } from "../../lib/no-such-file.ts";
import { stateDirectory } from "../../lib/state-directory.ts";
import { presentBoot } from "../../sys/boot.ts";
import { openPath } from "../../resources/file/path-file.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";
import type { Entry } from "../../tracee/let-go.x86_64.ts";
import { below } from "../directory.ts";
import { alreadyThawed, notKnown } from "./mark.ts";
import { kernelRelease } from "../../lib/kernel.ts";

const FOLDER = "thawed";
const ABOUT = ".about";
/** Of so many images of each user it is remembered that they were thawed; beyond that the oldest are forgotten. */
export const MOST_REMEMBERED = 10_000;
/** flock(2) */
const LOCK = { EXCLUSIVE_NOW: 6, NONE: 8 } as const;
/** How long another thaw may take to make its entry. */
const LOCK_PATIENCE_MS = 10_000;

const noteSchema = v.object({ at: v.string(), kernel: v.string(), bootId: v.string() });
type Note = v.InferOutput<typeof noteSchema>;

/** What is asked of the register: an image, what people call it, and for whom it is thawed. */
export interface Asked {
  readonly id: string;
  readonly shown: string;
  readonly user?: Identity | undefined;
  /** It may be thawed though it has been before. */
  readonly again: boolean;
}

/** Where the register is. */
function registerDirectory(): string {
  return join(stateDirectory(), FOLDER);
}

/** Refuses an image whose processes went on already, or are about to. */
export function refuseRegistered(asked: Asked): void {
  asOurselves(() => named(() => look(registerDirectory(), asked)));
}

function look(folder: string, { id, shown, again }: Asked): void {
  const about = join(folder, id + ABOUT);
  if (existsSync(about)) {
    const fd = openPath(OWN_VIEW.at(about), O.O_RDWR | O.O_NOFOLLOW);
    try {
      if (attempt("flock", fd, LOCK.EXCLUSIVE_NOW) < 0) throw failures.THAW_IN_PROGRESS({ shown });
    } finally {
      closeSync(fd);
    }
    if (!again) throw notKnown(readNote(about)?.at, shown);
  }
  const lived = join(folder, id);
  if (again || !existsSync(lived)) return;
  throw alreadyThawed(
    readNote(lived) ?? { at: "a time that is not known", kernel: "a version that is not known" },
    shown,
  );
}

/** What an entry tells; that it is there tells the rest. */
function readNote(path: string): Note | undefined {
  try {
    return v.parse(noteSchema, JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** The entry of an image whose processes are about to go on. */
export class Claim implements Entry, Disposable {
  readonly folder: LocalFd;
  readonly lock: LocalFd;
  readonly before: string;
  readonly after: string;

  private constructor(folder: LocalFd, lock: LocalFd, id: string) {
    this.folder = folder;
    this.lock = lock;
    this.before = id + ABOUT;
    this.after = id;
  }

  /** Writes the entry, on disk, or refuses as {@link refuseRegistered} does: somebody may have been faster. */
  static make(asked: Asked): Claim {
    return asOurselves(() =>
      named(() => {
        mkdirSync(registerDirectory(), { recursive: true, mode: 0o700 });
        const folder = openPath(OWN_VIEW.at(registerDirectory()), O.O_DIRECTORY | O.O_NOFOLLOW);
        let lock: LocalFd | undefined;
        try {
          lockFolder(folder, asked.shown);
          look(below(folder, ""), asked);
          forgetOldest(folder, asked.user);
          lock = writeEntry(folder, asked);
          call("flock", "Unlocking the register", folder, LOCK.NONE);
          return new Claim(folder, lock, asked.id);
        } catch (error) {
          if (lock !== undefined) closeSync(lock);
          closeSync(folder);
          throw error;
        }
      }),
    );
  }

  /** None of its processes has gone on. */
  takeBack(): void {
    asOurselves(() => rmSync(below(this.folder, this.before), { force: true }));
  }

  /** They have, and that shall be known after a power cut, too. */
  sync(): void {
    fsyncSync(this.folder);
  }

  [Symbol.dispose](): void {
    closeSync(this.lock);
    closeSync(this.folder);
  }
}

function lockFolder(folder: LocalFd, shown: string): void {
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  while (attempt("flock", folder, LOCK.EXCLUSIVE_NOW) < 0) {
    if (Date.now() > deadline) throw failures.THAW_IN_PROGRESS({ shown });
    sleepMicroseconds(1000);
  }
}

function writeEntry(folder: LocalFd, { id, user }: Asked): LocalFd {
  const fd = openPath(below(folder, id + ABOUT), O.O_RDWR | O.O_CREAT | O.O_TRUNC | O.O_NOFOLLOW, 0o600);
  try {
    call("flock", "Locking an entry of the register", fd, LOCK.EXCLUSIVE_NOW);
    // It counts as the user's, by the disk's quotas as well.
    if (user) call("fchown", "Giving an entry of the register to a user", fd, user.uid, user.gid);
    const note: Note = { at: new Date().toISOString(), kernel: kernelRelease(), bootId: presentBoot() };
    writeSync(fd, `${JSON.stringify(note)}\n`);
    fsyncSync(fd);
    fsyncSync(folder);
    return fd;
  } catch (error) {
    rmSync(below(folder, id + ABOUT), { force: true });
    closeSync(fd);
    throw error;
  }
}

/** Makes room for one more entry of a user. */
function forgetOldest(folder: LocalFd, user: Identity | undefined): void {
  const names = readdirSync(below(folder, ""));
  if (names.length < MOST_REMEMBERED) return;
  const owner = user?.uid ?? process.geteuid?.();
  const own = names
    .map((name) => ({ name, found: statSync(below(folder, name), { throwIfNoEntry: false }) }))
    .filter(({ name, found }) => found?.uid === owner && !name.endsWith(ABOUT))
    .sort((a, b) => (a.found?.mtimeMs ?? 0) - (b.found?.mtimeMs ?? 0));
  for (const { name } of own.slice(0, Math.max(0, own.length - MOST_REMEMBERED + 1)))
    rmSync(below(folder, name), { force: true });
}

/** Without the register nobody would know that the processes live. */
function named<T>(action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined || cause instanceof Refusal) throw cause;
    throw failures.THAWED_REGISTER({ path: registerDirectory(), errno, cause });
  }
}
