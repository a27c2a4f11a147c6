/** Writing an image: everything goes into a directory beside the final one, which takes its name when it is whole. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { LocalFd } from "../lib/brand.ts";
import { OWN_VIEW } from "../sys/mount-view.ts";
import { call } from "../sys/call.ts";
import { type Identity, asUser } from "../sys/identity.ts";
import { O } from "../abi/fcntl.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError, Refusal } from "../errors/failure.ts";
import { ownVersion } from "../lib/own-version.ts";
import { remedyFor } from "../lib/system-failure.ts";
import type { BlobSource } from "../resources/freeze-context.ts";
import { endAll, type Move } from "../tracee/end-all.x86_64.ts";
import { dataRanges } from "../resources/file/copy.ts";
import { fstat } from "../sys/stat.ts";
import { openPath } from "../resources/file/path-file.ts";
import { encryptedSize } from "./encryption/age.ts";
import type { Recipient } from "./encryption/age-keys.ts";
import { PrivateDirectory, removeLeftovers } from "./directory.ts";
import { CHUNK_SIZE, digestFile, digestFileWith } from "./chunks/digest.ts";
import { FileChunks, type ChunkPool } from "./chunks/pool.ts";
import { describeMachine, MANIFEST, type Manifest, type ManifestFile } from "./manifest.ts";
import { AGE } from "./files.ts";
import { AgeOutput, PlainOutput, type Output } from "./output.ts";
import { FORMAT_VERSION } from "./version.ts";
import { SIGNATURE, signManifest } from "./trust/trust.ts";

/** Refuses a directory that holds something: no image is ever overwritten. */
export function checkTarget(directory: string): void {
  /** Some folder on the way may not be ours to look into. */
  const reached = <T>(look: () => T): T => {
    try {
      return look();
    } catch (cause) {
      throw failures.DIRECTORY_NOT_USABLE({ directory, why: (cause as Error).message, cause });
    }
  };
  const parent = dirname(resolve(directory));
  if (reached(() => statSync(parent, { throwIfNoEntry: false }))?.isDirectory() !== true) {
    throw failures.DIRECTORY_PARENT({ directory, parent, exists: existsSync(parent) });
  }
  const found = reached(() => lstatSync(directory, { throwIfNoEntry: false }));
  if (!found) return;
  if (!found.isDirectory()) {
    throw failures.DIRECTORY_NOT_USABLE({
      directory,
      why: `It is ${found.isSymbolicLink() ? "a symbolic link, and none is followed here" : "no directory"}.`,
    });
  }
  const entries = reached(() => readdirSync(directory));
  if (entries.length > 0) {
    throw failures.DIRECTORY_NOT_EMPTY({ directory, count: entries.length, first: entries[0] });
  }
}

export interface WriteOptions {
  /** With a pool, large files are read back while they are still being written. */
  readonly pool?: ChunkPool | undefined;
  /** Whose image it will be. While it is being written it is ours alone: nobody may change what we are going to sign. */
  readonly user?: Identity | undefined;
  /** Whom it is encrypted to; nobody means that it is not. */
  readonly recipients?: readonly Recipient[] | undefined;
  /** From when on the image is to be refused, in milliseconds since the epoch. */
  readonly expiresAt?: number | undefined;
  /** Of an image that is written anew in the present format: what its manifest goes on saying. */
  readonly of?: Pick<Manifest, "createdAt" | "expiresAt" | "machine" | "origin"> | undefined;
}

/** A file of the image that grows bit by bit. */
export interface Draft extends Disposable {
  readonly name: string;
  readonly fd: LocalFd;
  readonly path: string;
}

const PIECE = 1024 * 1024;
/** As many files are synced by themselves; of more, the whole file system is (syncfs(2)). */
const FEW = 16;
/** How the directory of an unfinished image is called, and what a killed freeze leaves behind. */
const PARTIAL = /^\..+\.partial-\d+$/;

/** The directory that `target` is to stand in, free of what killed ones have left there. */
export function openParent(target: string, user?: Identity): LocalFd {
  const parent = asUser(user, () => openPath(OWN_VIEW.at(dirname(target)), O.O_PATH | O.O_DIRECTORY));
  removeLeftovers(parent, (name) => PARTIAL.test(name), user);
  return parent;
}

export class ImageWriter implements Disposable {
  readonly #target: string;
  readonly #partial: PrivateDirectory;
  readonly #files: ManifestFile[] = [];
  readonly #options: WriteOptions;
  /** Small files that are on their way to the disk: sent there one by one, each would wait for the disk alone. */
  readonly #unsynced: string[] = [];

  constructor(directory: string, options: WriteOptions = {}) {
    this.#options = options;
    this.#target = resolve(directory);
    const { user } = options;
    const name = `.${basename(this.#target)}.partial-${process.pid}`;
    this.#partial = wrapped(join(dirname(this.#target), name), () => {
      const parent = openParent(this.#target, user);
      return new PrivateDirectory(parent, name, user);
    });
  }

  /**
   * Opens a new file of the image for `fill`, which writes `size` bytes from its beginning to its end; then syncs it,
   * a small one together with others, and reads it back for its digests. Of a large one, what is settled is read while the rest is being written.
   */
  file(name: string, size: number, fill: (out: Output) => void): void {
    const { pool, recipients = [] } = this.#options;
    const encrypted = recipients.length > 0;
    const called = encrypted ? name + AGE : name;
    const path = this.#partial.path(called);
    const whole = encrypted ? encryptedSize(size, recipients) : size;
    const digests = pool && whole >= CHUNK_SIZE && new FileChunks(pool, path, Math.ceil(whole / CHUNK_SIZE));
    this.#write(called, whole <= PIECE, (fd) => {
      const out = encrypted ? new AgeOutput(fd, recipients) : new PlainOutput(fd);
      fill(digests ? watched(out, digests) : out);
      out.end(size);
    });
    const taken = wrapped(called, () =>
      pool && digests ? digestFileWith(pool, path, undefined, digests) : digestFile(path),
    );
    this.#files.push({ name: called, ...taken });
  }

  /** Begins a file whose contents are written before it is known what all they will be. */
  draft(name: string): Draft {
    return wrapped(join(this.#target, name), () => {
      const fd = this.#partial.create(name);
      return { name, fd, path: this.#partial.path(name), [Symbol.dispose]: () => closeSync(fd) };
    });
  }

  /** Does a part of the work on a draft; what fails is told as of every file of the image. */
  drafting<T>({ name }: Draft, action: () => T): T {
    return wrapped(join(this.#target, name), action);
  }

  /** The draft is a file of the image now. */
  accept({ name, fd }: Draft, file: Omit<ManifestFile, "name">): void {
    wrapped(join(this.#target, name), () => fsyncSync(fd));
    this.#files.push({ name, ...file });
  }

  /** The draft is no file of the image. */
  reject({ name, path }: Draft): void {
    wrapped(join(this.#target, name), () => unlinkSync(path));
  }

  #write(name: string, later: boolean, fill: (fd: LocalFd) => void): void {
    wrapped(join(this.#target, name), () => {
      const fd = this.#partial.create(name);
      try {
        fill(fd);
        if (later) this.#unsynced.push(name);
        else fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
  }

  #syncSmall(): void {
    if (this.#unsynced.length > FEW) {
      wrapped(this.#target, () => call("syncfs", "Syncing the file system of the image", this.#partial.fd));
      return;
    }
    for (const name of this.#unsynced) wrapped(join(this.#target, name), () => syncFile(this.#partial.path(name)));
  }

  blob(name: string, source: BlobSource): void {
    if ("bytes" in source) {
      this.file(name, source.bytes.length, (out) => out.put(source.bytes, 0));
      return;
    }
    const { size } = fstat(source.fd);
    this.file(name, size, (out) => {
      const buffer = Buffer.allocUnsafe(Math.min(PIECE, Math.max(size, 1)));
      for (const [start, end] of dataRanges(source.fd, size)) {
        for (let at = start, got = 1; at < end && got > 0; at += got) {
          got = readSync(source.fd, buffer, 0, Math.min(PIECE, end - at), at);
          out.put(buffer.subarray(0, got), at);
        }
      }
    });
  }

  json(name: string, value: unknown): void {
    const bytes = jsonBytes(value);
    this.file(name, bytes.length, (out) => out.put(bytes, 0));
  }

  /** Writes the manifest and signs it: whole and on disk, but without its name yet. */
  seal(): void {
    this.#syncSmall();
    const { expiresAt, of } = this.#options;
    const manifest: Manifest = {
      format: FORMAT_VERSION,
      kmonte: ownVersion(),
      ...(of ?? {
        createdAt: new Date().toISOString(),
        ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt).toISOString() }),
        machine: describeMachine(),
      }),
      chunkSize: CHUNK_SIZE,
      files: this.#files,
    };
    const bytes = jsonBytes(manifest);
    const signature = signManifest(bytes);
    this.#write(MANIFEST, false, (fd) => writeWhole(fd, bytes));
    this.#write(SIGNATURE, false, (fd) => writeWhole(fd, Buffer.from(signature)));
    wrapped(this.#target, () => {
      this.#partial.handOver();
      fsyncSync(this.#partial.fd);
    });
  }

  /**
   * Gives the sealed image its name: from now on it is there. `rename` does it in another way, for those who must do
   * more in the same step; it throws a failure of rename(2) when nothing has been done.
   */
  publish(rename: (move: Move) => void = (move) => endAll([], move)): void {
    // Whatever fails from then on: the image is all that is left of the processes.
    wrapped(this.#target, () => rename(this.#partial.moveTo(basename(this.#target))));
  }

  /** Takes an image away that was not finished. */
  [Symbol.dispose](): void {
    this.#partial[Symbol.dispose]();
  }
}

/** Asks for the digests of chunks as soon as they will not change any more. */
function watched(out: Output, digests: FileChunks): Output {
  let next = 0;
  const look = (): void => {
    for (; (next + 1) * CHUNK_SIZE <= out.settled; next += 1) digests.ask(next, CHUNK_SIZE);
  };
  return {
    put(bytes, offset) {
      out.put(bytes, offset);
      look();
    },
    putNative(buffer, at, length, offset) {
      out.putNative(buffer, at, length, offset);
      look();
    },
    end: (size) => out.end(size),
    get settled() {
      return out.settled;
    },
  };
}

/** A document of an image as it is written. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 1)}\n`);
}

function writeWhole(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
}

function syncFile(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Says what a failed write means to a person. */
function wrapped<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const code =
      cause instanceof KmonteError && cause.facts.errno ? cause.facts.errno : (cause as NodeJS.ErrnoException).code;
    if (code === undefined || cause instanceof Refusal || !/^E[A-Z0-9]+$/.test(code)) throw cause;
    if (code === "ENOSPC" || code === "EDQUOT") throw failures.DISK_FULL({ path, errno: code, cause });
    throw failures.IMAGE_WRITE.call({
      path,
      errno: code,
      remedy: remedyFor(code) ?? "Choose another directory.",
      cause,
    });
  }
}
