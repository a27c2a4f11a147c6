/** Unpacks what the kernel unpacks: its modules, and an initramfs (lib/decompress.c of its sources). */
import { spawnSync } from "node:child_process";
import { crc32, inflateRawSync, zstdDecompressSync } from "node:zlib";

export type Compression = "gzip" | "zstd" | "xz" | "lz4" | "bzip2" | "lzma" | "lzop";

export interface Unpacked {
  readonly data: Buffer;
  readonly compression: Compression;
  /** As many bytes were read; another archive may follow them. */
  readonly length: number;
}

export interface NotUnpacked {
  /** Broken, or not compressed in any way that the kernel knows; else nothing on this machine can unpack it. */
  readonly damaged: boolean;
  /** A sentence, or what the program said. */
  readonly why: string;
}

const MOST_BYTES = 2 ** 31;
/** Of what is unpacked at a time: node:zlib takes much less, and is slow with what is large. */
const CHUNK_BYTES = 1 << 20;

type Command = readonly [command: string, ...args: string[]];

/** In the words of Python, whose short way overlooks what follows an archive, and where one ends too early. */
const PYTHON_XZ = `import lzma, sys
xz = lzma.LZMADecompressor()
sys.stdout.buffer.write(xz.decompress(sys.stdin.buffer.read()))
if not xz.eof: sys.exit("unexpected end")
if xz.unused_data.strip(b"\\0"): sys.exit("something follows")`;

/** Of what Node does not unpack by itself. Most of these fail when something else follows, or say nothing of it. */
const PROGRAMS: Readonly<Record<Exclude<Compression, "gzip" | "zstd">, readonly Command[]>> = {
  xz: [
    ["xz", "-dc"],
    ["busybox", "unxz", "-c"],
    ["python3", "-c", PYTHON_XZ],
  ],
  lz4: [["lz4", "-dc"]],
  bzip2: [["bzip2", "-dc"]],
  lzma: [["xz", "--format=lzma", "-dc"]],
  lzop: [["lzop", "-dc"]],
};

/** By the bytes that it begins with. The lz4 is that of the kernel, which lz4(1) calls the legacy frame. */
const MAGIC: readonly (readonly [Compression, string])[] = [
  ["gzip", "1f8b"],
  ["zstd", "28b52ffd"],
  ["xz", "fd377a585a00"],
  ["lz4", "02214c18"],
  ["bzip2", "425a68"],
  ["lzma", "5d0000"],
  ["lzop", "894c5a4f"],
];

/** Errors of node:zlib that are about the archive, and not about this machine. */
const DAMAGE = /^(Z_(DATA|BUF)_ERROR|Z_NEED_DICT|ZSTD_error_(?!memory))/;

/** How the archive that begins here is compressed, going by its first bytes; undefined for none that the kernel knows. */
export function compressionOf(bytes: Buffer): Compression | undefined {
  const start = bytes.toString("hex", 0, 6);
  return MAGIC.find(([, magic]) => start.startsWith(magic))?.[0];
}

export function unpack(bytes: Buffer): Unpacked | NotUnpacked {
  const compression = compressionOf(bytes);
  if (compression === undefined) return { damaged: true, why: "It is compressed in no way that Linux knows." };
  if (compression === "gzip") return gunzip(bytes);
  if (compression === "zstd") return byNode(zstdDecompressSync, compression, bytes);
  return byProgram(compression, PROGRAMS[compression], bytes);
}

/** One member (RFC 1952): gunzipSync takes what follows it for another one, or for damage. */
function gunzip(bytes: Buffer): Unpacked | NotUnpacked {
  const start = gzipHeaderLength(bytes);
  if (start === undefined) return { damaged: true, why: "unexpected end of file" };
  const unpacked = byNode(inflateRawSync, "gzip", bytes.subarray(start));
  if (!("data" in unpacked)) return unpacked;
  const end = start + unpacked.length;
  if (end + GZIP_TRAILER > bytes.length) return { damaged: true, why: "unexpected end of file" };
  if (bytes.readUInt32LE(end) !== crc32(unpacked.data)) return { damaged: true, why: "incorrect data check" };
  return { ...unpacked, length: end + GZIP_TRAILER };
}

const GZIP_TRAILER = 8;
const GZIP_HEADER = 10;
/** Flags of what follows the fixed header, in this order. */
const [FEXTRA, FNAME, FCOMMENT, FHCRC] = [4, 8, 16, 2];

function gzipHeaderLength(bytes: Buffer): number | undefined {
  const flags = bytes[3] ?? 0;
  let at = GZIP_HEADER;
  if ((flags & FEXTRA) !== 0 && at + 2 <= bytes.length) at += 2 + bytes.readUInt16LE(at);
  for (const flag of [FNAME, FCOMMENT]) {
    if ((flags & flag) === 0) continue;
    const zero = bytes.indexOf(0, at);
    if (zero === -1) return undefined;
    at = zero + 1;
  }
  if ((flags & FHCRC) !== 0) at += 2;
  return at < bytes.length ? at : undefined;
}

/** With `info`, the functions of node:zlib tell how far they read; their types do not know of it. */
function byNode(
  unpackSync: (bytes: Buffer, options: { info: true; chunkSize: number }) => unknown,
  compression: Compression,
  bytes: Buffer,
): Unpacked | NotUnpacked {
  try {
    const told = unpackSync(bytes, { info: true, chunkSize: CHUNK_BYTES });
    const { buffer, engine } = told as { buffer: Buffer; engine: { bytesWritten: number } };
    return { data: buffer, compression, length: engine.bytesWritten };
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    return { damaged: DAMAGE.test(code), why: message };
  }
}

function byProgram(compression: Compression, programs: readonly Command[], input: Buffer): Unpacked | NotUnpacked {
  let failed: NotUnpacked = { damaged: false, why: `There is no program here that unpacks ${compression}.` };
  for (const [command, ...args] of programs) {
    const run = spawnSync(command, args, { input, maxBuffer: MOST_BYTES, env: { ...process.env, LC_ALL: "C" } });
    const { status, stdout, stderr } = run;
    if (status === null) continue;
    if (status === 0 && stdout.length > 0) return { data: stdout, compression, length: input.length };
    const why = stderr.toString().trim().split("\n").at(-1) || `${command} ended with ${status}.`;
    // busybox(1) or Python may have been built without it, and there may be too little memory.
    if (!/applet not found|No module named|memory/i.test(why)) failed = { damaged: true, why };
  }
  return failed;
}
