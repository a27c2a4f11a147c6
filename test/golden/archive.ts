/** Golden images as files: a folder in a tar archive, compressed with zstd(1). */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";

const ENDING = ".tar.zst";
const MOST = 256 * 1024 * 1024;
/** Files that are mapped must have the very times that they had; holes of core files stay holes. */
const KEEP = ["--format=posix", "--pax-option=delete=atime,delete=ctime", "--sparse", "--numeric-owner", "--sort=name"];

/** Puts what is in `folder` into `NAME.tar.zst` below `into`; returns the size of that in bytes. */
export function pack(folder: string, into: string, name: string): number {
  const tar = execFileSync("tar", ["-c", ...KEEP, "-C", folder, "."], { maxBuffer: MOST });
  const params = { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: 23 };
  const packed = zstdCompressSync(tar, { params });
  writeFileSync(`${into}/${name}${ENDING}`, packed);
  return packed.length;
}

/** Makes `folder` with what is in an archive, as root has it. */
export function unpack(archive: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const tar = zstdDecompressSync(readFileSync(archive), { maxOutputLength: MOST });
  execFileSync("tar", ["-x", "-p", "--numeric-owner", "--sparse", "-C", folder], { input: tar });
}

/** The name of the image in an archive; undefined for other files. */
export function nameOf(file: string): string | undefined {
  return file.endsWith(ENDING) ? file.slice(0, -ENDING.length) : undefined;
}
