/** A kernel module as the kernel takes it: not every insmod(8) of an initramfs unpacks what depmod(8) lists. */
import { readFileSync } from "node:fs";
import { unpack } from "./decompress.ts";

/** The module without its compression; undefined when nothing on this machine can unpack it. */
export function readModule(path: string): Buffer | undefined {
  const bytes = readFileSync(path);
  if (path.endsWith(".ko")) return bytes;
  const unpacked = unpack(bytes);
  return "data" in unpacked ? unpacked.data : undefined;
}

/** The module's name as a file: `a/b/softdog.ko.xz` is `softdog.ko`. */
export function moduleFileName(path: string): string {
  return path.replace(/^.*\//, "").replace(/\.ko\..*$/, ".ko");
}
