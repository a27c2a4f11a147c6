/** Writing an image: everything goes into a directory beside the final one, which takes its name when it is whole. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { LocalFd } from "../lib/brand.ts";
import { KmonteError, Refusal } from "../lib/errors.ts";
import type { BlobSource } from "../resources/contract.ts";
import type { Move } from "../tracee/end-all.x86_64.ts";
import { copyRanges, dataRanges } from "../resources/objects/copy.ts";
import { fstat } from "../abi/stat.ts";
import { CHUNK_SIZE, digestFile, digestFileWith } from "./digest.ts";
import { FileDigests, type DigestPool } from "./digest-pool.ts";
import { describeMachine, MANIFEST, type Manifest, type ManifestFile } from "./manifest.ts";
import { FORMAT_VERSION } from "./schema.ts";
import { SIGNATURE, signManifest } from "./trust.ts";

/** Refuses a directory that holds something: no image is ever overwritten. */
export function checkTarget(directory: string): void {
  if (!existsSync(directory)) {
    if (existsSync(dirname(resolve(directory)))) return;
    throw new Refusal(
      "DIRECTORY_PARENT",
      {
        what: `The image cannot be written to ${directory}.`,
        why: `${dirname(resolve(directory))} does not exist.`,
        remedy: "Make it first, or choose another place.",
      },
      { path: directory },
    );
  }
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (cause) {
    throw new Refusal(
      "DIRECTORY_NOT_USABLE",
      {
        what: `${directory} cannot hold an image.`,
        why: (cause as Error).message,
        remedy: "Choose another directory.",
      },
      { path: directory },
      cause,
    );
  }
  if (entries.length > 0) {
    throw new Refusal(
      "DIRECTORY_NOT_EMPTY",
      {
        what: `${directory} is not empty.`,
        why: `It holds ${entries.length} ${entries.length === 1 ? "entry" : "entries"}, such as ${entries[0]}.`,
        remedy: "Choose a directory that is empty or does not exist yet.",
      },
      { path: directory },
    );
  }
}

export class ImageWriter implements Disposable {
  readonly #target: string;
  readonly #partial: string;
  readonly #files: ManifestFile[] = [];
  readonly #pool: DigestPool | undefined;
  #done = false;

  /** With a pool, large files are read back while they are still being written. */
  constructor(directory: string, pool?: DigestPool) {
    this.#pool = pool;
    this.#target = resolve(directory);
    this.#partial = join(dirname(this.#target), `.${basename(this.#target)}.partial-${process.pid}`);
    rmSync(this.#partial, { recursive: true, force: true });
    wrapped(this.#partial, () => mkdirSync(this.#partial, { mode: 0o700 }));
  }

  /**
   * A large file that `fill` writes from beginning to end, of `size` bytes; it calls `written` with the offset up to
   * which nothing will change any more.
   */
  growing(name: string, size: number, fill: (fd: LocalFd, written: (upTo: number) => void) => void): void {
    const pool = this.#pool;
    if (!pool || size < CHUNK_SIZE) {
      this.file(name, (fd) => fill(fd, () => undefined));
      return;
    }
    const path = join(this.#partial, name);
    const digests = new FileDigests(pool, path, Math.ceil(size / CHUNK_SIZE));
    let next = 0;
    wrapped(path, () => {
      const fd = openSync(path, "wx", 0o600) as LocalFd;
      try {
        fill(fd, (upTo) => {
          for (; (next + 1) * CHUNK_SIZE <= upTo; next += 1) digests.ask(next, CHUNK_SIZE);
        });
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      this.#files.push({ name, ...digestFileWith(pool, path, undefined, digests) });
    });
  }

  /** Opens a new file of the image for `fill`, syncs it, and reads it back for its digest. */
  file(name: string, fill: (fd: LocalFd, path: string) => void, onRead?: (bytes: number) => void): void {
    const path = join(this.#partial, name);
    wrapped(path, () => {
      const fd = openSync(path, "wx", 0o600) as LocalFd;
      try {
        fill(fd, path);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      this.#files.push({ name, ...digestFile(path, onRead) });
    });
  }

  blob(name: string, source: BlobSource): void {
    this.file(name, (fd) => {
      if ("bytes" in source) writeWhole(fd, source.bytes);
      else {
        const { size } = fstat(source.fd);
        ftruncateSync(fd, size);
        copyRanges(source.fd, fd, dataRanges(source.fd, size));
      }
    });
  }

  json(name: string, value: unknown): void {
    this.file(name, (fd) => writeWhole(fd, Buffer.from(`${JSON.stringify(value, undefined, 1)}\n`)));
  }

  /** Writes the manifest and signs it: whole and on disk, but without its name yet. */
  seal(): void {
    const manifest: Manifest = {
      format: FORMAT_VERSION,
      createdAt: new Date().toISOString(),
      chunkSize: CHUNK_SIZE,
      machine: describeMachine(),
      files: this.#files,
    };
    const bytes = Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`);
    const signature = signManifest(bytes);
    this.file(MANIFEST, (fd) => writeWhole(fd, bytes));
    this.file(SIGNATURE, (fd) => writeWhole(fd, Buffer.from(signature)));
    wrapped(this.#target, () => syncDirectory(this.#partial));
  }

  /**
   * Gives the sealed image its name: from now on it is there. `rename` does it in another way, for those who must do
   * more in the same step; it throws a failure of rename(2) when nothing has been done.
   */
  publish(rename: (move: Move) => void = renameAndSync): void {
    wrapped(this.#target, () => {
      rename({ from: this.#partial, to: this.#target, parent: dirname(this.#target) });
      this.#done = true;
    });
  }

  /** Takes an image away that was not finished. */
  [Symbol.dispose](): void {
    if (!this.#done) rmSync(this.#partial, { recursive: true, force: true });
  }
}

function renameAndSync({ from, to, parent }: Move): void {
  renameSync(from, to);
  syncDirectory(parent);
}

export function writeWhole(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
}

function syncDirectory(path: string): void {
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
    const full = code === "ENOSPC" || code === "EDQUOT";
    throw new KmonteError(
      full ? "DISK_FULL" : "IMAGE_WRITE",
      {
        what: "The image could not be written; the processes go on as they were.",
        why: `Writing ${path} answered ${code}${full ? ": there is no room left" : ""}.`,
        remedy: full ? "Free some space or choose another file system." : "Choose another directory.",
      },
      { facts: { path, errno: code }, cause },
    );
  }
}
