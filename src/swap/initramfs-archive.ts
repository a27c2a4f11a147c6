/**
 * Reads an initramfs as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst): cpio archives
 * one after the other, compressed or not; what comes later replaces what came before. Pure but for the programs that
 * unpack.
 */
import { posix } from "node:path";
import { cpioArchive, type CpioEntry, type FoundEntry, readCpio } from "./cpio.ts";
import { type Compression, compressionOf, unpack } from "./decompress.ts";
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

/** Compressions behind whose archive the kernel was seen to unpack another one. */
const EXTENDABLE: ReadonlySet<Compression> = new Set(["gzip", "zstd", "xz", "lz4"]);

/** Why not all of an initramfs could be read. */
export interface NotRead {
  /** Whether the kernel could not read it either; else nothing on this machine can unpack it. */
  readonly damaged: boolean;
  readonly why: string;
}

/** The last of the archives. */
export interface ArchiveEnd {
  /** Undefined when it is not compressed. */
  readonly compression?: Compression;
  /** The length of what it unpacks to, in bytes. */
  readonly length?: number;
}

export class InitramfsArchive {
  readonly #bytes: Buffer;
  readonly #entries = new Map<string, FoundEntry>();
  #last: Required<ArchiveEnd> | undefined;
  /** Something stands behind the archives that is none, and that the kernel stops at. */
  #isFollowed = false;

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  static read(bytes: Buffer): InitramfsArchive | NotRead {
    const archive = new InitramfsArchive(bytes);
    for (let at = 0; at < bytes.length;) {
      if (bytes[at] === 0) {
        at++;
        continue;
      }
      const isPlain = bytes[at] === 0x30 && at % 4 === 0;
      if (!isPlain && compressionOf(bytes.subarray(at)) === undefined && archive.#entries.size > 0) {
        archive.#isFollowed = true;
        break;
      }
      const end = isPlain ? archive.#addPlain(bytes, at) : archive.#addCompressed(at);
      if (typeof end !== "number") return end;
      at = end;
    }
    return archive.#entries.size > 0 ? archive : { damaged: true, why: "There is no archive in it." };
  }

  /** The paths of all entries, without a leading slash. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  /** What {@link withEntries} must know of it; undefined where the kernel may not find what is added. */
  get end(): ArchiveEnd | undefined {
    if (this.#isFollowed || (this.#last && !EXTENDABLE.has(this.#last.compression))) return undefined;
    return { ...this.#last };
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

  #addPlain(bytes: Buffer, start: number): number | NotRead {
    const read = readCpio(bytes, start);
    if (!read) return { damaged: true, why: "It holds a cpio archive that is not whole." };
    for (const entry of read.entries) this.#entries.set(posix.join("/", entry.path).slice(1), entry);
    this.#last = undefined;
    return read.end;
  }

  #addCompressed(start: number): number | NotRead {
    const unpacked = unpack(this.#bytes.subarray(start));
    if (!("data" in unpacked)) return unpacked;
    const { data, compression, length } = unpacked;
    for (let at = 0; at < data.length;) {
      const end = data[at] === 0 ? at + 1 : this.#addPlain(data, at);
      if (typeof end !== "number") return end;
      at = end;
    }
    this.#last = { compression, length: data.length };
    return start + length;
  }
}

/** An initramfs with these entries on top; each decompressor of the kernel bears something else behind its archive. */
export function withEntries(
  bytes: Buffer,
  { compression, length = 0 }: ArchiveEnd,
  entries: readonly CpioEntry[],
): Buffer {
  const more = cpioArchive(entries);
  // Its lz4 bears nothing but more lz4, and has it unpack to the same archive's end.
  if (compression === "lz4") return Buffer.concat([bytes, lz4Literals(Buffer.concat([toFour(length), more]))]);
  return Buffer.concat([bytes, toFour(bytes.length), more]);
}

/** Zero bytes up to a multiple of four, where the kernel looks for an archive. */
function toFour(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
