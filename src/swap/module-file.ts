/** A kernel module as the kernel takes it: not every insmod(8) of an initramfs unpacks what depmod(8) lists. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

const MOST_BYTES = 64 * 1024 * 1024;

/** Node has no xz of its own. */
const XZ: readonly (readonly [string, ...string[]])[] = [
  ["xz", "-dc"],
  ["busybox", "unxz", "-c"],
  ["python3", "-c", "import lzma, sys; sys.stdout.buffer.write(lzma.decompress(sys.stdin.buffer.read()))"],
];

/** The module without its compression; undefined when nothing on this machine can unpack it. */
export function readModule(path: string): Buffer | undefined {
  const bytes = readFileSync(path);
  if (path.endsWith(".gz")) return gunzipSync(bytes);
  if (path.endsWith(".zst")) return zstdDecompressSync(bytes);
  if (!path.endsWith(".xz")) return bytes;
  for (const [command, ...args] of XZ) {
    const { status, stdout } = spawnSync(command, args, { input: bytes, maxBuffer: MOST_BYTES });
    if (status === 0 && stdout.length > 0) return stdout;
  }
  return undefined;
}

/** The module's name as a file: `a/b/softdog.ko.xz` is `softdog.ko`. */
export function moduleFileName(path: string): string {
  return path.replace(/^.*\//, "").replace(/\.ko\..*$/, ".ko");
}
