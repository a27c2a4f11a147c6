/** What an initramfs holds, as far as a swap must know: asked by the doctor, and again when the kernel is loaded. */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import type { CpioEntry } from "./cpio.ts";
import { type ArchiveEnd, InitramfsArchive, isLink, isRegular, linkTarget, type NotRead } from "./initramfs-archive.ts";
import { posix } from "node:path";

const EXECUTABLE = 0o111;
/** Where a hook's program mounts what it needs. */
const PLACES = ["proc", "dev"];

interface InitramfsContents {
  /** The paths of all entries, without a leading slash. */
  readonly names: readonly string[];
  /** What a hook must know; or why there can be none, as the end of a sentence. */
  readonly hookable: Hookable | string;
}

interface Hookable {
  /** Its /init: a symbolic link with where that leads as its data, or a program. */
  readonly init: CpioEntry;
  /** Directories that a hook's program mounts on, and that are not there. */
  readonly missing: readonly string[];
  readonly end: ArchiveEnd;
}

export type ReadInitramfs = InitramfsContents | NotRead;

/** Unpacking takes seconds: what the last file held is remembered for as long as it stays as it is. */
let last: { readonly file: string; readonly contents: ReadInitramfs } | undefined;

/** The initramfs as it is on disk, with what it holds. */
export function readInitramfs(path: string): { readonly bytes: Buffer; readonly contents: ReadInitramfs } {
  const fd = openSync(path, "r");
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = fstatSync(fd);
    const bytes = readFileSync(fd);
    const file = [dev, ino, size, mtimeMs, ctimeMs].join(" ");
    if (last?.file !== file) last = { file, contents: contentsOf(bytes) };
    return { bytes, contents: last.contents };
  } finally {
    closeSync(fd);
  }
}

/** Holds nothing of the bytes, nor of what they unpack to. */
export function contentsOf(bytes: Buffer): ReadInitramfs {
  const archive = InitramfsArchive.read(bytes);
  if (!(archive instanceof InitramfsArchive)) return archive;
  return { names: archive.names, hookable: hookableIn(archive) };
}

function hookableIn(archive: InitramfsArchive): Hookable | string {
  const { end } = archive;
  if (end === undefined) return UNREADABLE;
  const init = ownInit(archive);
  if (!init) return "it has no /init that could be put aside";
  const shell = archive.resolve("bin/sh");
  if (!shell || !isRegular(shell) || (shell.mode & EXECUTABLE) === 0) return "it has no /bin/sh";
  return { init, missing: PLACES.filter((path) => !archive.entry(path)), end };
}

/** Why an initramfs that is not read has no hook. */
export const UNREADABLE = "it is compressed in a way that cannot be read here";

function ownInit(archive: InitramfsArchive): CpioEntry | undefined {
  const entry = archive.entry("init");
  const program = archive.resolve("init");
  if (!entry || !program || !isRegular(program)) return undefined;
  const { path, mode } = entry;
  if (isLink(entry)) return { path, mode, data: Buffer.from(posix.resolve("/", linkTarget(entry))) };
  // Of a file with several names the last one has the data, and writing to one changes all.
  return entry.links > 1 ? undefined : { path, mode, data: Buffer.from(entry.data) };
}
