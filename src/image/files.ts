/** The files of an image, opened below its directory's descriptor, and decrypted on the way where they are encrypted. */
import { closeSync, readSync } from "node:fs";
import { O } from "../abi/fcntl.ts";
import { asOurselves } from "../sys/identity.ts";
import { S_IF } from "../abi/stat.ts";
import { fstat } from "../sys/stat.ts";
import type { LocalFd } from "../lib/brand.ts";
import type { Blob } from "../resources/thaw-context.ts";
import { failures } from "../errors/catalogue.ts";
import { MalformedImage } from "../errors/wrong-input.ts";
import { openPath } from "../resources/file/path-file.ts";
import { AgeFile, encryptAs } from "./encryption/age.ts";
import type { AgeIdentity } from "./encryption/age-keys.ts";
import { below } from "./directory.ts";
import type { Manifest } from "./manifest.ts";

/** What encrypted files are called behind their name. */
export const AGE = ".age";

/** A link, a FIFO or a device in the place of a file is never opened for what it is. */
export function openRegular(directory: LocalFd, name: string): LocalFd {
  const fd = openPath(below(directory, name), O.O_NOFOLLOW | O.O_NONBLOCK);
  if (fstat(fd).type === S_IF.S_IFREG) return fd;
  closeSync(fd);
  throw new MalformedImage(`${name} is no regular file`);
}

export class ImageFiles {
  readonly directory: string;
  readonly #fd: LocalFd;
  readonly #names: ReadonlySet<string>;
  readonly #identities: readonly AgeIdentity[];

  constructor(directory: string, fd: LocalFd, manifest: Manifest, identities: readonly AgeIdentity[] = []) {
    this.directory = directory;
    this.#fd = fd;
    // Only files that the manifest lists have been checked.
    this.#names = new Set(manifest.files.map((file) => file.name));
    this.#identities = identities;
  }

  open(name: string): Blob {
    if (this.#names.has(name + AGE)) return this.#openEncrypted(name + AGE);
    if (!this.#names.has(name))
      throw failures.IMAGE_DAMAGED({ directory: this.directory, why: `It has no ${name}.`, path: name });
    const fd = asOurselves(() => openRegular(this.#fd, name));
    return {
      size: fstat(fd).size,
      plain: fd,
      read: (into, at) => {
        for (let done = 0; done < into.length;) {
          const got = readSync(fd, into, done, into.length - done, at + done);
          if (got === 0)
            throw failures.IMAGE_DAMAGED({ directory: this.directory, why: `${name} ends too early.`, path: name });
          done += got;
        }
      },
      [Symbol.dispose]: () => closeSync(fd),
    };
  }

  /** A file as it stands there, encrypted or not, by the name that the manifest has for it. The caller closes it. */
  raw(name: string): LocalFd {
    return asOurselves(() => openRegular(this.#fd, name));
  }

  /** Encrypts bytes to those who can open this file of the image; the bytes as they are where it is not encrypted. */
  encryptAs(name: string, bytes: Buffer): { readonly name: string; readonly bytes: Buffer } {
    if (!this.#names.has(name + AGE)) return { name, bytes };
    const fd = this.raw(name + AGE);
    try {
      const sealedBytes = this.#guarded(name + AGE, () => encryptAs(fd, this.#identities, bytes));
      if (!sealedBytes) throw failures.IMAGE_ENCRYPTED({ directory: this.directory, keys: this.#identities.length });
      return { name: name + AGE, bytes: sealedBytes };
    } finally {
      closeSync(fd);
    }
  }

  bytes(name: string): Buffer {
    using file = this.open(name);
    const bytes = Buffer.alloc(file.size);
    file.read(bytes, 0);
    return bytes;
  }

  #openEncrypted(name: string): Blob {
    const fd = asOurselves(() => openRegular(this.#fd, name));
    try {
      const file = this.#guarded(name, () => AgeFile.open(fd, fstat(fd).size, this.#identities));
      if (!file) throw failures.IMAGE_ENCRYPTED({ directory: this.directory, keys: this.#identities.length });
      return {
        size: file.size,
        plain: undefined,
        read: (into, at) => this.#guarded(name, () => file.read(into, at)),
        [Symbol.dispose]: () => closeSync(fd),
      };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  #guarded<T>(name: string, action: () => T): T {
    try {
      return action();
    } catch (cause) {
      if (!(cause instanceof MalformedImage)) throw cause;
      throw failures.IMAGE_DAMAGED({
        directory: this.directory,
        why: `${name} cannot be decrypted: ${cause.message}.`,
        path: name,
        cause,
      });
    }
  }
}
