/** What is in an initramfs, going by the lister of who made it: lsinitramfs(8) of initramfs-tools, lsinitrd(1) of dracut. */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";

/** Emulated machines take their time. */
const LONGEST_MS = 120_000;

const LISTERS: readonly (readonly [command: string, ...args: string[]])[] = [["lsinitramfs"], ["lsinitrd"]];

/** lsinitrd(1) goes on where what unpacks the archive has failed. */
const DAMAGE = /premature end|unexpected end|corrupt|not in \w+ format|crc error/i;

export type InitramfsList =
  | { readonly state: "whole"; readonly names: readonly string[] }
  /** The lister failed; it says why. */
  | { readonly state: "damaged"; readonly why: string }
  /** There is no lister here. */
  | { readonly state: "unknown" };

/** The last one: a swap looks before it asks, and again before it goes. */
let last: { readonly file: string; readonly list: InitramfsList } | undefined;

export function listInitramfs(path: string): InitramfsList {
  const { ino, size, mtimeMs, ctimeMs } = statSync(path);
  const file = [path, ino, size, mtimeMs, ctimeMs].join(" ");
  if (last?.file !== file) last = { file, list: unpackedList(path) };
  return last.list;
}

function unpackedList(path: string): InitramfsList {
  for (const [command, ...args] of LISTERS) {
    const { status, stdout, stderr, error } = spawnSync(command, [...args, path], {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      timeout: LONGEST_MS,
      env: { ...process.env, LC_ALL: "C" },
    });
    if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") continue;
    if (error) return { state: "unknown" };
    const why = lastLine(stderr);
    // What unpacks it may be missing here, as zstd(1), and be in the initramfs' own kernel.
    if (/not found/.test(stderr)) return { state: "unknown" };
    if (status !== 0 || DAMAGE.test(stderr))
      return { state: "damaged", why: why ?? `${command} ended with ${status}.` };
    return { state: "whole", names: stdout.split("\n").map((line) => line.trim().replace(/^.* /, "")) };
  }
  return { state: "unknown" };
}

function lastLine(text: string): string | undefined {
  return text.trim().split("\n").at(-1) || undefined;
}
