/**
 * Reads an initramfs as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst): cpio archives
 * one after the other, compressed or not; what comes later replaces what came before. Pure but for the programs that
 * unpack.
 */
import { posix } from "node:path";
import { cpioArchive, type CpioEntry, type FoundEntry, readCpio } from "./cpio.ts";
import { type Compression, unpack } from "./decompress.ts";
import { lz4Literals } from "./lz4.ts";

const FILE_TYPE = 0o170000;
const REGULAR = 0o100000;
const LINK = 0o120000;
/** As many links as the kernel follows (MAXSYMLINKS). */
const MOST_LINKS = 40;

export const isRegular = ({ mode }: CpioEntry): boolean => (mode & FILE_TYPE) === REGULAR;
export const isLink = ({ mode }: CpioEntry): boolean => (mode & FILE_TYPE) === LINK;

/** Where a symbolic link leads. */
export const linkTarget = ({ data }: CpioEntry): string => data.toString("utf8").replace(/\0$/, "");

export class InitramfsArchive {
  readonly #bytes: Buffer;
  readonly #entries = new Map<string, FoundEntry>();
  /** How the last archive is compressed, and the length of what it unpacks to. */
  #last: { readonly compression: Compression; readonly length: number } | undefined;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Undefined when not all of it can be read here. */
  static read(bytes: Buffer): InitramfsArchive | undefined {
    const archive = new InitramfsArchive(bytes);
    for (let at = 0; at < bytes.length;) {
      if (bytes[at] === 0) {
        at++;
        continue;
      }
      const end = bytes[at] === 0x30 && at % 4 === 0 ? archive.#addPlain(bytes, at) : archive.#addCompressed(at);
      if (end === undefined) return undefined;
      at = end;
    }
    return archive;
  }

  /** The entry of exactly this name. */
  entry(path: string): FoundEntry | undefined {
    return this.#entries.get(path);
  }

  /** What the path leads to, over symbolic links. */
  resolve(path: string): FoundEntry | undefined {
    let rest = path.split("/");
    let at = "";
    for (let links = 0; rest.length > 0;) {
      const [name = "", ...others] = rest;
      const next = posix.join(at, name);
      const found = this.#entries.get(next);
      rest = others;
      if (found && isLink(found)) {
        const target = linkTarget(found);
        if (++links > MOST_LINKS) return undefined;
        if (target.startsWith("/")) at = "";
        rest = [...target.split("/").filter(Boolean), ...rest];
      } else {
        at = next === ".." || next === "." ? "" : next;
      }
    }
    return this.#entries.get(at);
  }

  /** The initramfs with these entries on top; each decompressor of the kernel bears something else behind its archive. */
  with(entries: readonly CpioEntry[]): Buffer {
    const more = cpioArchive(entries);
    // Its lz4 bears nothing but more lz4, and has it unpack to the same archive's end.
    if (this.#last?.compression === "lz4") {
      return Buffer.concat([this.#bytes, lz4Literals(Buffer.concat([toFour(this.#last.length), more]))]);
    }
    return Buffer.concat([this.#bytes, toFour(this.#bytes.length), more]);
  }

  #addPlain(bytes: Buffer, start: number): number | undefined {
    const read = readCpio(bytes, start);
    if (!read) return undefined;
    for (const entry of read.entries) this.#entries.set(posix.join("/", entry.path).slice(1), entry);
    this.#last = undefined;
    return read.end;
  }

  #addCompressed(start: number): number | undefined {
    const unpacked = unpack(this.#bytes.subarray(start));
    if (!unpacked) return undefined;
    const { data, compression, length } = unpacked;
    for (let at = 0; at < data.length;) {
      const end = data[at] === 0 ? at + 1 : this.#addPlain(data, at);
      if (end === undefined) return undefined;
      at = end;
    }
    this.#last = { compression, length: data.length };
    return start + length;
  }
}

/** Zero bytes up to a multiple of four, where the kernel looks for an archive. */
function toFour(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
