/** Unpacks what Debian compresses for its kernels: modules and initramfs. */
import { spawnSync } from "node:child_process";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

export type Compression = "gzip" | "zstd" | "xz" | "lz4";

export interface Unpacked {
  readonly data: Buffer;
  readonly compression: Compression;
  /** As many bytes were read; another archive may follow them. */
  readonly length: number;
}

const MOST_BYTES = 2 ** 31;

/** In the words of Python, whose short way overlooks what follows an archive. */
const PYTHON_XZ = `import lzma, sys
xz = lzma.LZMADecompressor()
data = xz.decompress(sys.stdin.buffer.read())
sys.exit("something follows") if xz.unused_data.strip(b"\\0") else sys.stdout.buffer.write(data)`;

/** Node has neither xz nor lz4 of its own. Each of these fails when something else follows. */
const XZ: readonly (readonly [string, ...string[]])[] = [
  ["xz", "-dc"],
  ["busybox", "unxz", "-c"],
  ["python3", "-c", PYTHON_XZ],
];
const LZ4: readonly (readonly [string, ...string[]])[] = [["lz4", "-dc"]];

/** By the bytes that it begins with. The lz4 is that of the kernel, which lz4(1) calls the legacy frame. */
const MAGIC: readonly (readonly [Compression, string])[] = [
  ["gzip", "1f8b"],
  ["zstd", "28b52ffd"],
  ["xz", "fd377a585a00"],
  ["lz4", "02214c18"],
];

/** Undefined when it is broken, compressed in another way, or nothing on this machine can unpack it. */
export function unpack(bytes: Buffer): Unpacked | undefined {
  const start = bytes.toString("hex", 0, 6);
  const compression = MAGIC.find(([, magic]) => start.startsWith(magic))?.[0];
  if (compression === undefined) return undefined;
  if (compression === "gzip") return byNode(gunzipSync, compression, bytes);
  if (compression === "zstd") return byNode(zstdDecompressSync, compression, bytes);
  const data = byProgram(compression === "xz" ? XZ : LZ4, bytes);
  return data && { data, compression, length: bytes.length };
}

/** With `info`, the functions of node:zlib tell how far they read; their types do not know of it. */
function byNode(
  unpackSync: (bytes: Buffer, options: { info: true }) => unknown,
  compression: Compression,
  bytes: Buffer,
): Unpacked | undefined {
  try {
    const told = unpackSync(bytes, { info: true }) as { buffer: Buffer; engine: { bytesWritten: number } };
    return { data: told.buffer, compression, length: told.engine.bytesWritten };
  } catch {
    return undefined;
  }
}

function byProgram(programs: readonly (readonly [string, ...string[]])[], input: Buffer): Buffer | undefined {
  for (const [command, ...args] of programs) {
    const { status, stdout } = spawnSync(command, args, { input, maxBuffer: MOST_BYTES });
    if (status === 0 && stdout.length > 0) return stdout;
  }
  return undefined;
}
