/**
 * Where an image is read from. What is verified must be what is used: a directory that somebody else can write to is
 * copied first, to where nobody can, and only the copy is looked at.
 */
import { closeSync, mkdirSync, readSync } from "node:fs";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { SyscallError, attempt, call } from "../sys/call.ts";
import { O } from "../abi/fcntl.ts";
import { type Identity, asUser } from "../sys/identity.ts";
import { type FileStat, fstat } from "../sys/stat.ts";
import type { LocalFd } from "../lib/brand.ts";
import { failures } from "../errors/catalogue.ts";
import type { Refusal } from "../errors/failure.ts";
import { MalformedImage } from "../errors/wrong-input.ts";
import { stateDirectory } from "../lib/state-directory.ts";
import { copyRanges, dataRanges } from "../resources/file/copy.ts";
import { openPath } from "../resources/file/path-file.ts";
import { below, PrivateDirectory, removeLeftovers } from "./directory.ts";
import { openRegular } from "./files.ts";
import { refuseRemoved } from "./thawed/mark.ts";

const INCOMING = /^incoming-\d+$/;
/** linux/fs.h: on file systems that share blocks, a copy costs nothing. */
const FICLONE = 0x4004_9409;
const WRITABLE_BY_OTHERS = 0o022;

export class ImageSource implements Disposable {
  readonly directory: string;
  readonly #user: Identity | undefined;
  readonly #original: LocalFd;
  #copy: PrivateDirectory | undefined;

  constructor(directory: string, user?: Identity) {
    this.directory = directory;
    this.#user = user;
    this.#original = asUser(user, () => openPath(OWN_VIEW.at(directory), O.O_DIRECTORY));
  }

  /** Where files are to be opened. */
  get fd(): LocalFd {
    return this.#copy?.fd ?? this.#original;
  }

  get place(): string {
    return below(this.#original, "");
  }

  /** Says so where the image was thawed and its contents were removed. */
  refuseRemoved(): void {
    asUser(this.#user, () => refuseRemoved(this.place, this.directory));
  }

  /** All bytes of a small file. Undefined when it is larger than `most`. */
  readSmall(name: string, most: number): Buffer | undefined {
    const fd = asUser(this.#user, () => openRegular(this.#original, name));
    try {
      const bytes = Buffer.alloc(Math.min(fstat(fd).size, most) + 1);
      let got = 0;
      for (let more = -1; more !== 0 && got < bytes.length; got += more)
        more = readSync(fd, bytes, got, bytes.length - got, got);
      return got > most ? undefined : bytes.subarray(0, got);
    } finally {
      closeSync(fd);
    }
  }

  /** Makes sure that nobody but us can change these files from now on. */
  secure(files: readonly { readonly name: string; readonly size: number }[]): void {
    if (process.geteuid?.() !== 0) return;
    if (isOurs(fstat(this.#original)) && files.every(({ name }) => this.#fileIsOurs(name))) return;
    const copy = makeIncoming();
    this.#copy = copy;
    for (const file of files) this.#take(copy, file);
  }

  #fileIsOurs(name: string): boolean {
    let fd: LocalFd;
    try {
      fd = openRegular(this.#original, name);
    } catch {
      // Whoever reads it says what is wrong with it.
      return true;
    }
    try {
      return isOurs(fstat(fd));
    } finally {
      closeSync(fd);
    }
  }

  #take(copy: PrivateDirectory, { name, size }: { readonly name: string; readonly size: number }): void {
    let from: LocalFd;
    try {
      from = asUser(this.#user, () => openRegular(this.#original, name));
    } catch (error) {
      if (isMissing(error)) return;
      throw unreadable(this.directory, name, error);
    }
    const to = copy.create(name);
    try {
      // What has another size than the manifest says is refused in any case: not a byte more of it is taken.
      if (fstat(from).size !== size) return;
      if (attempt("ioctl", to, FICLONE, from) < 0) {
        call("ftruncate", "Copying an image", to, size);
        copyRanges(from, to, dataRanges(from, size));
      }
    } catch (cause) {
      throw failures.IMAGE_COPY({
        directory: this.directory,
        name,
        target: stateDirectory(),
        errno: codeOf(cause),
        cause,
      });
    } finally {
      closeSync(from);
      closeSync(to);
    }
  }

  [Symbol.dispose](): void {
    this.#copy?.[Symbol.dispose]();
    closeSync(this.#original);
  }
}

/** Nobody else can write to it. */
function isOurs({ uid, mode }: FileStat): boolean {
  return uid === process.geteuid?.() && (mode & WRITABLE_BY_OTHERS) === 0;
}

function makeIncoming(): PrivateDirectory {
  // On disk: an image may be larger than memory.
  mkdirSync(stateDirectory(), { recursive: true, mode: 0o700 });
  const parent = openPath(OWN_VIEW.at(stateDirectory()), O.O_PATH | O.O_DIRECTORY);
  removeLeftovers(parent, (name) => INCOMING.test(name));
  return new PrivateDirectory(parent, `incoming-${process.pid}`);
}

function isMissing(error: unknown): boolean {
  return error instanceof SyscallError ? error.errno === "ENOENT" : (error as NodeJS.ErrnoException).code === "ENOENT";
}

export function codeOf(error: unknown): string {
  if (error instanceof SyscallError) return error.errno;
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

export function unreadable(directory: string, name: string, cause: unknown): Refusal {
  const why = cause instanceof MalformedImage ? `${cause.message}.` : `Opening ${name} failed with ${codeOf(cause)}.`;
  return failures.IMAGE_UNREADABLE({ directory, why, name, cause });
}
