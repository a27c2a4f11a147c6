/** Where the bytes of an image file go: as they are, or encrypted on the way. Offsets ascend; gaps read as zeros. */
import { fstatSync, ftruncateSync, writeSync } from "node:fs";
import { call } from "../sys/call.ts";
import type { NativeBuffer } from "../sys/ffi.unsafe.ts";
import type { LocalFd } from "../lib/brand.ts";
import { AgeEncryption } from "./encryption/age.ts";
import type { Recipient } from "./encryption/age-keys.ts";

export interface Output {
  /** Puts bytes at an offset that is not below the end of those before. */
  put(bytes: Buffer, offset: number): void;
  /** The same for a part of memory outside the JavaScript heap. */
  putNative(buffer: NativeBuffer, at: number, length: number, offset: number): void;
  /** Nothing follows; zeros up to `size` may be wanting. */
  end(size: number): void;
  /** Up to here the file on disk will not change any more. */
  readonly settled: number;
}

export class PlainOutput implements Output {
  readonly #fd: LocalFd;
  settled = 0;

  constructor(fd: LocalFd) {
    this.#fd = fd;
  }

  put(bytes: Buffer, offset: number): void {
    for (let done = 0; done < bytes.length;)
      done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    this.settled = offset + bytes.length;
  }

  putNative(buffer: NativeBuffer, at: number, length: number, offset: number): void {
    for (let done = 0; done < length;) {
      const address = buffer.address + at + done;
      done += call("pwrite64", "Writing memory to the image", this.#fd, address, length - done, offset + done);
    }
    this.settled = offset + length;
  }

  end(size: number): void {
    if (fstatSync(this.#fd).size < size) ftruncateSync(this.#fd, size);
  }
}

const ZEROS = Buffer.alloc(64 * 1024);

export class AgeOutput implements Output {
  readonly #encryption: AgeEncryption;
  #plain = 0;
  settled = 0;

  constructor(fd: LocalFd, recipients: readonly Recipient[]) {
    this.#encryption = new AgeEncryption(recipients, (bytes) => {
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
      this.settled += bytes.length;
    });
  }

  put(bytes: Buffer, offset: number): void {
    this.#fill(offset);
    this.#encryption.write(bytes);
    this.#plain += bytes.length;
  }

  putNative(buffer: NativeBuffer, at: number, length: number, offset: number): void {
    this.put(buffer.bytes.subarray(at, at + length), offset);
  }

  end(size: number): void {
    this.#fill(size);
    this.#encryption.end();
  }

  #fill(upTo: number): void {
    while (this.#plain < upTo) {
      const zeros = ZEROS.subarray(0, upTo - this.#plain);
      this.#encryption.write(zeros);
      this.#plain += zeros.length;
    }
  }
}
