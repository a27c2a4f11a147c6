/** What stands in a file system that lives in memory, as one archive of tar(1). */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { OWN_VIEW, type ProcPath } from "../../sys/mount-view.ts";
import { chmodSync, chownSync, lstatSync, readdirSync, statSync, utimesSync } from "../../sys/files.ts";
import { call, withText } from "../../sys/call.ts";
import { S_IF } from "../../abi/stat.ts";
import { failures } from "../../errors/catalogue.ts";

const LARGEST = 2 ** 31 - 1;

function tar(args: readonly string[], input: Buffer, packing = false): Buffer {
  const { status, stdout, stderr, error } = spawnSync("tar", args, { input, maxBuffer: LARGEST, cwd: "/" });
  // 1: a socket, which tar does not take (whoever has bound it brings it back).
  if (status === 0 || (status === 1 && packing)) return stdout;
  throw failures.MOUNT_CONTENTS({ said: (error?.message ?? String(stderr)).trim(), cause: error });
}

/** `names` as {@link namesIn} lists them. */
export function packTree(folder: string, names: readonly Entry[]): Buffer {
  const list = Buffer.from(names.flatMap(({ path, socket }) => (socket ? [] : [`${path}\0`])).join(""), "latin1");
  const order = ["--no-recursion", "--null", "--verbatim-files-from", "--files-from=-"];
  const pack = ["--create", "--format=posix", "--sparse", "--atime-preserve=system"];
  return tar([...COMMON, ...pack, "-C", folder, "--file=-", ...order], list, true);
}

export function unpackTree(archive: Buffer, folder: string): void {
  const unpack = ["--extract", "--preserve-permissions", "--same-owner", "--delay-directory-restore"];
  tar([...COMMON, ...unpack, "-C", folder, "--file=-"], archive);
}

export interface Entry {
  /** From the folder on: a letter for each byte, as names need not be text. */
  readonly path: string;
  readonly inode: bigint;
  readonly socket?: Socket;
}

export const socketSchema = v.strictObject({ path: v.string(), mode: v.number(), uid: v.number(), gid: v.number() });
type Socket = v.InferOutput<typeof socketSchema>;

/** Makes a socket file (unix(7)); its folder keeps its times. */
export function makeSocket(folder: ProcPath, { path, mode, uid, gid }: Socket): void {
  const full = OWN_VIEW.at(join(folder, path));
  const above = OWN_VIEW.at(dirname(full));
  const { atime, mtime } = statSync(above);
  withText(full, (name) => call("mknod", `Making ${path}`, name, S_IF.S_IFSOCK | 0o600, 0));
  chownSync(full, uid, gid);
  chmodSync(full, mode);
  utimesSync(above, atime, mtime);
}

/**
 * What stands in a folder and below, in the order in which it was made as far as inode numbers tell: that is the order
 * in which file systems in memory list their names, and the positions of those who are reading one depend on it.
 */
export function namesIn(folder: ProcPath): Entry[] {
  const { dev, ino } = statSync(folder, { bigint: true });
  const found: Entry[] = [{ path: ".", inode: ino }];
  for (let at = 0; at < found.length; at++) {
    const { path } = found[at] as Entry;
    const about = lstatSync(bytesOf(`${folder}/${path}`), { bigint: true });
    // Another mount may stand on a folder that belongs to this file system.
    if (!about.isDirectory() || about.dev !== dev) continue;
    for (const name of readdirSync(bytesOf(`${folder}/${path}`), "latin1")) {
      const below = `${path}/${name}`;
      const one = lstatSync(bytesOf(`${folder}/${below}`), { bigint: true });
      const [mode, uid, gid] = [Number(one.mode) & 0o7777, Number(one.uid), Number(one.gid)];
      found.push({
        path: below,
        inode: one.ino,
        ...(one.isSocket() && { socket: { path: textOf(below), mode, uid, gid } }),
      });
    }
  }
  return inOrder(found);
}

function bytesOf(path: string): Buffer {
  return Buffer.from(path, "latin1");
}

function textOf(path: string): string {
  const text = bytesOf(path).toString();
  if (bytesOf(path).equals(Buffer.from(text))) return text;
  throw failures.PATH_NOT_TEXT.socket({ text });
}

/** Folders come before what is in them, though they may have been moved there later. */
function inOrder(entries: readonly Entry[]): Entry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const placed = new Set<Entry>();
  const place = (entry: Entry): void => {
    if (placed.has(entry)) return;
    const folder = byPath.get(dirname(entry.path));
    if (folder && folder !== entry) place(folder);
    placed.add(entry);
  };
  for (const entry of entries.toSorted((a, b) => (a.inode < b.inode ? -1 : a.inode > b.inode ? 1 : 0))) place(entry);
  return [...placed];
}

const COMMON = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--warning=no-file-ignored"];
