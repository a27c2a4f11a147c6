/**
 * The payload of a file of age: chunks of 64 KiB, each with a tag of its own, a number, and a mark on the last one
 * (https://age-encryption.org/v1; the construction is STREAM). So a file is written as it comes and read from anywhere.
 */
import { randomBytes } from "node:crypto";
import { readSync } from "node:fs";
import { buildHeader, derive, LONGEST_HEADER, openHeader, seal, TAG_SIZE, unseal } from "./age-header.ts";
import type { AgeIdentity, Recipient } from "./age-keys.ts";
import { MalformedImage } from "../../errors/wrong-input.ts";

const CHUNK = 64 * 1024;
const SEALED = CHUNK + TAG_SIZE;
const NONCE = 16;

/** Eleven bytes of number and one that says whether it is the last chunk. */
function nonceOf(chunk: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(chunk, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/** What stands in front of a file, and the key that it wraps. */
interface Header {
  readonly fileKey: Buffer;
  readonly bytes: Buffer;
}

function newHeader(recipients: readonly Recipient[]): Header {
  const fileKey = randomBytes(16);
  return { fileKey, bytes: buildHeader(fileKey, recipients) };
}

/** Encrypts what is written to it, chunk by chunk; `out` gets the file from its beginning to its end. */
export class AgeEncryption {
  readonly #key: Buffer;
  readonly #out: (bytes: Buffer) => void;
  readonly #held = Buffer.allocUnsafe(CHUNK);
  #filled = 0;
  #chunk = 0;

  constructor(recipients: readonly Recipient[] | Header, out: (bytes: Buffer) => void) {
    const { fileKey, bytes } = "fileKey" in recipients ? recipients : newHeader(recipients);
    const nonce = randomBytes(NONCE);
    this.#key = derive(fileKey, nonce, "payload");
    this.#out = out;
    out(Buffer.concat([bytes, nonce]));
  }

  write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      // A full chunk goes out when there is more to come: the last one has a mark.
      if (this.#filled === CHUNK) this.#flush(false);
      const part = Math.min(CHUNK - this.#filled, bytes.length - at);
      bytes.copy(this.#held, this.#filled, at, at + part);
      this.#filled += part;
      at += part;
    }
  }

  end(): void {
    this.#flush(true);
  }

  #flush(last: boolean): void {
    this.#out(seal(this.#key, nonceOf(this.#chunk, last), this.#held.subarray(0, this.#filled)));
    this.#chunk += 1;
    this.#filled = 0;
  }
}

/**
 * Encrypts `plain` to those who can open the file `fd`, whoever they are: their wrapped key is taken from it. Undefined
 * when none of the identities is one of them; throws a {@link MalformedImage} at what is no file of age.
 */
export function encryptAs(fd: number, identities: readonly AgeIdentity[], plain: Buffer): Buffer | undefined {
  const first = Buffer.alloc(LONGEST_HEADER);
  const opened = openHeader(first.subarray(0, readSync(fd, first, 0, first.length, 0)), identities);
  if (!opened) return undefined;
  const parts: Buffer[] = [];
  const header = { fileKey: opened.fileKey, bytes: first.subarray(0, opened.length) };
  const encryption = new AgeEncryption(header, (bytes) => parts.push(bytes));
  encryption.write(plain);
  encryption.end();
  return Buffer.concat(parts);
}

/** How large a file of `plain` bytes becomes. */
export function encryptedSize(plain: number, recipients: readonly Recipient[]): number {
  const header = buildHeader(Buffer.alloc(16), recipients).length;
  return header + NONCE + plain + Math.max(1, Math.ceil(plain / CHUNK)) * TAG_SIZE;
}

/** An encrypted file that is open for reading. */
export class AgeFile {
  readonly size: number;
  readonly #fd: number;
  readonly #key: Buffer;
  readonly #start: number;
  readonly #chunks: number;
  readonly #sealed = Buffer.allocUnsafe(SEALED);
  #held: { readonly chunk: number; readonly plain: Buffer } | undefined;

  private constructor(fd: number, size: number, fileKey: Buffer, header: number) {
    const nonce = Buffer.alloc(NONCE);
    const payload = size - header - NONCE;
    if (payload < TAG_SIZE || readSync(fd, nonce, 0, NONCE, header) !== NONCE)
      throw new MalformedImage("it is cut short");
    this.#fd = fd;
    this.#key = derive(fileKey, nonce, "payload");
    this.#start = header + NONCE;
    this.#chunks = Math.ceil(payload / SEALED);
    this.size = payload - this.#chunks * TAG_SIZE;
    const last = payload - (this.#chunks - 1) * SEALED;
    if (last < TAG_SIZE || (last === TAG_SIZE && this.#chunks > 1)) throw new MalformedImage("it is cut short");
    // The size was reckoned from the file's: only the mark on the last chunk says that nothing is missing behind it.
    this.#chunk(this.#chunks - 1);
  }

  /**
   * Undefined when none of the identities is a recipient; throws a {@link MalformedImage} at what is no file of age, and at one
   * whose last chunk is not there.
   */
  static open(fd: number, size: number, identities: readonly AgeIdentity[]): AgeFile | undefined {
    const first = Buffer.alloc(Math.min(size, LONGEST_HEADER));
    const got = readSync(fd, first, 0, first.length, 0);
    const opened = openHeader(first.subarray(0, got), identities);
    return opened && new AgeFile(fd, size, opened.fileKey, opened.length);
  }

  /** Fills `into` from offset `at`; throws a {@link MalformedImage} when the file is not what was encrypted. */
  read(into: Buffer, at: number): void {
    for (let done = 0; done < into.length;) {
      const plain = this.#chunk(Math.floor((at + done) / CHUNK));
      const part = plain.subarray((at + done) % CHUNK, ((at + done) % CHUNK) + into.length - done);
      if (part.length === 0) throw new MalformedImage("it is cut short");
      done += part.copy(into, done);
    }
  }

  #chunk(chunk: number): Buffer {
    if (this.#held?.chunk === chunk) return this.#held.plain;
    if (chunk >= this.#chunks) throw new MalformedImage("it is cut short");
    const got = readSync(this.#fd, this.#sealed, 0, SEALED, this.#start + chunk * SEALED);
    let plain: Buffer;
    try {
      plain = unseal(this.#key, nonceOf(chunk, chunk === this.#chunks - 1), this.#sealed.subarray(0, got));
    } catch (cause) {
      throw new MalformedImage(`chunk ${chunk} of it is not what was encrypted`, { cause });
    }
    this.#held = { chunk, plain };
    return plain;
  }
}
