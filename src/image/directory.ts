/**
 * A directory that is ours alone: mode 0700 from the first moment, reached through a descriptor, never through its path
 * again, and locked (flock(2)) for as long as we live. What a killed kmonte left behind is the same without the lock.
 */
import { chmodSync, closeSync, mkdirSync, readdirSync, readlinkSync, rmdirSync, unlinkSync } from "node:fs";
import { OWN_VIEW, type ProcPath } from "../sys/mount-view.ts";
import { attempt, call } from "../sys/call.ts";
import { LOCK_EX_NB } from "../abi/locks.ts";
import { O } from "../abi/fcntl.ts";
import { type Identity, asUser } from "../sys/identity.ts";
import { fstat } from "../sys/stat.ts";
import type { LocalFd } from "../lib/brand.ts";
import { failures } from "../errors/catalogue.ts";
import { openPath } from "../resources/file/path-file.ts";
import { noteUnfinished } from "../resources/undo-notes.ts";
import type { Move } from "../tracee/end-all.x86_64.ts";

const DIRECTORY = O.O_DIRECTORY | O.O_NOFOLLOW;
const PRIVATE = 0o700;
/**
 * A file in it for as long as it is not finished. In a directory of theirs, others can give any name to one of ours:
 * only what we have put into it tells what may be removed. No file of an image has such a name.
 */
const UNFINISHED = ".unfinished";

/** The path of an entry below an open directory: whatever happens to the directory's own path meanwhile. */
export function below(directory: LocalFd, name: string): ProcPath {
  return `/proc/self/fd/${directory}/${name}`;
}

export class PrivateDirectory implements Disposable {
  readonly parent: LocalFd;
  readonly name: string;
  readonly fd: LocalFd;
  readonly #user: Identity | undefined;
  readonly #note: Disposable;
  #gone = false;

  /**
   * Makes `name` in the directory `parent`, which we own from here on. With a `user` it is made with that user's
   * rights and then taken away from the user, who cannot look into it before it is given back.
   */
  constructor(parent: LocalFd, name: string, user?: Identity) {
    this.parent = parent;
    this.name = name;
    this.#user = user;
    this.#note = noteUnfinished({ kind: "image", parent: readlinkSync(`/proc/self/fd/${parent}`), name, user });
    try {
      this.fd = this.#make();
    } catch (error) {
      this.#note[Symbol.dispose]();
      throw error;
    }
  }

  #make(): LocalFd {
    const { parent, name } = this;
    const fd = asUser(this.#user, () => {
      mkdirSync(below(parent, name), { mode: PRIVATE });
      try {
        // Whatever the umask is; with the user's rights, what may stand there by now can only be the user's.
        chmodSync(below(parent, name), PRIVATE);
        return openPath(below(parent, name), DIRECTORY);
      } catch (error) {
        quietly(() => rmdirSync(below(parent, name)));
        throw error;
      }
    });
    try {
      this.#claim(fd);
      closeSync(createIn(fd, UNFINISHED));
      return fd;
    } catch (error) {
      quietly(() => unlinkSync(below(fd, UNFINISHED)));
      // It is empty: what is not, or is not a directory, is not ours and stays.
      asUser(this.#user, () => quietly(() => rmdirSync(below(parent, name))));
      closeSync(fd);
      throw error;
    }
  }

  #claim(fd: LocalFd): void {
    const { uid, type } = fstat(fd);
    const owner = this.#user?.uid ?? process.geteuid?.();
    // Between the making and the opening its user may have put something else there.
    if (type === 0 || uid !== owner || readdirSync(below(fd, "")).length > 0)
      throw failures.DIRECTORY_REPLACED({ name: this.name });
    call("flock", "Locking a directory", fd, LOCK_EX_NB);
    if (this.#user) call("fchown", "Taking a directory", fd, 0, 0);
    call("fchmod", "Closing a directory to others", fd, PRIVATE);
    // Some file systems (FAT, some of networks) have no modes of their own and say yes to any.
    if ((fstat(fd).mode & 0o077) !== 0) throw failures.DIRECTORY_NOT_PRIVATE({ name: this.name });
    if (this.#user && readdirSync(below(fd, "")).length > 0) throw failures.DIRECTORY_REPLACED({ name: this.name });
  }

  path(name: string): string {
    return below(this.fd, name);
  }

  /** Makes a new file of mode 0600; a link in its place is never followed. */
  create(name: string): LocalFd {
    return createIn(this.fd, name);
  }

  /**
   * How it gets its name in its parent, when all is in it that is to be in it. Up to that moment those who tidy up
   * remove it, and from then on it is not ours any more.
   */
  moveTo(name: string): Move {
    return {
      parent: this.parent,
      from: below(this.parent, this.name),
      to: below(this.parent, name),
      unfinished: UNFINISHED,
      user: this.#user,
      moved: () => (this.#gone = true),
    };
  }

  /** Gives everything to the user that it was made for. */
  handOver(): void {
    if (!this.#user) return;
    const { uid, gid } = this.#user;
    for (const name of readdirSync(below(this.fd, ""))) {
      const fd = openPath(below(this.fd, name), O.O_NOFOLLOW);
      try {
        call("fchown", "Giving a file of the image to its user", fd, uid, gid);
      } finally {
        closeSync(fd);
      }
    }
    call("fchown", "Giving the image to its user", this.fd, uid, gid);
  }

  [Symbol.dispose](): void {
    if (!this.#gone) removeOpen(this.parent, this.name, this.fd, this.#user);
    this.#gone = true;
    this.#note[Symbol.dispose]();
    closeSync(this.fd);
    closeSync(this.parent);
  }
}

function createIn(directory: LocalFd, name: string): LocalFd {
  const fd = openPath(below(directory, name), O.O_RDWR | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW, 0o600);
  call("fchmod", "Closing a file to others", fd, 0o600);
  return fd;
}

/**
 * Removes what killed ones have left below `parent`: whatever has one of these names, is ours, is not finished, and is locked
 * by nobody.
 */
export function removeLeftovers(parent: LocalFd, isNamed: (name: string) => boolean, user?: Identity): void {
  const names = asUser(user, () => listing(parent)).filter(isNamed);
  for (const name of names) {
    // Our own: it may be one that a user was not to look into.
    const fd = tryOpen(below(parent, name));
    if (fd === undefined) continue;
    try {
      // What is whole, and has been given to its user already, may still be without its name.
      const isOurs = [process.geteuid?.(), user?.uid].includes(fstat(fd).uid) && listing(fd).includes(UNFINISHED);
      if (isOurs && attempt("flock", fd, LOCK_EX_NB) >= 0) removeOpen(parent, name, fd, user);
    } finally {
      closeSync(fd);
    }
  }
}

/** Images have no folders. Names that cannot be removed, such as those of folders, stay. What tells it is ours goes last. */
function removeOpen(parent: LocalFd, name: string, fd: LocalFd, user: Identity | undefined): void {
  const remove = (entry: string): void => quietly(() => unlinkSync(below(fd, entry)));
  for (const entry of listing(fd)) if (entry !== UNFINISHED) remove(entry);
  if (listing(fd).join() === UNFINISHED) remove(UNFINISHED);
  asUser(user, () => quietly(() => rmdirSync(below(parent, name))));
}

function listing(fd: LocalFd): string[] {
  try {
    return readdirSync(below(fd, ""));
  } catch {
    return [];
  }
}

function tryOpen(path: string): LocalFd | undefined {
  try {
    return openPath(OWN_VIEW.at(path), DIRECTORY);
  } catch {
    return undefined;
  }
}

function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // Gone already, or not ours to remove.
  }
}
