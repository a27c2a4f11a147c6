/** Making what was carried: in folders that no symbolic link leads to, and nobody's but ours until it is whole. */
import {
  chmodSync,
  chownSync,
  closeSync,
  lchownSync,
  linkSync,
  mkdirSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { openWithoutLinks } from "../../abi/openat2.ts";
import { call, withText } from "../../abi/call.ts";
import { AT_FDCWD, O } from "../../abi/fcntl.ts";
import { makeDevice, S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../contract.ts";
import { copyContents } from "../objects/copy.ts";
import { thawAttributes } from "../objects/file-attributes.ts";
import { openPath } from "../objects/path-file.ts";
import { lookAt, type Entry, type Thing } from "./entry.ts";
import type { Planned } from "./plan.ts";

export class Maker {
  readonly #context: ThawContext;
  /** The folders in which something is made. */
  readonly #folders = new Map<string, LocalFd>();
  /** Where the first names of files with several are. */
  readonly #paths: ReadonlyMap<string, string>;

  constructor(context: ThawContext, steps: readonly Planned[]) {
    this.#context = context;
    this.#paths = new Map(steps.map(({ entry, path }) => [entry.path, path]));
  }

  /** Parents before what is in them; owners, modes and times of folders come last, the innermost first. */
  make(steps: readonly Planned[]): void {
    const folders = steps.flatMap(({ entry, path, fate }): (readonly [Entry, LocalFd])[] => {
      if (fate !== "make") return [];
      const name = this.#wayTo(path);
      this.#makeOne(entry, name);
      this.#noteMade(name);
      this.#undo(entry, path, name);
      if (entry.type !== "S_IFDIR") return [];
      return [[entry, this.#context.keep(openPath(name, O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW))]];
    });
    for (const [entry, fd] of folders.toReversed()) finishFolder(entry, fd);
    // Sockets, FIFOs and files without a name are made in them later.
    this.#context.atResume(() => {
      for (const [{ times }, fd] of folders.toReversed()) thawAttributes(fd, { times });
    });
  }

  /** A name in its folder, whatever becomes of the path meanwhile. */
  #wayTo(path: string): string {
    const folder = dirname(path);
    const fd = this.#folders.get(folder) ?? this.#context.keep(openWithoutLinks(folder));
    this.#folders.set(folder, fd);
    return `/proc/self/fd/${fd}/${basename(path)}`;
  }

  #noteMade(name: string): void {
    const fd = openPath(name, O.O_PATH | O.O_NOFOLLOW);
    this.#context.noteMadeFile(fd);
    closeSync(fd);
  }

  #undo(entry: Entry, path: string, name: string): void {
    const made = lookAt(name)?.ino;
    this.#context.undo(path, () => {
      if (lookAt(name)?.ino !== made) return;
      if (entry.type === "S_IFDIR") rmdirSync(name);
      else unlinkSync(name);
    });
  }

  #makeOne(entry: Entry, name: string): void {
    if (entry.linkTo !== undefined) {
      linkSync(this.#wayTo(this.#paths.get(entry.linkTo) ?? entry.linkTo), name);
      return;
    }
    makeThing(this.#context, entry, name);
    if (entry.role !== "used" || entry.type !== "S_IFREG") return;
    // Reading it in, and shared mappings, may change the times again.
    const kept = this.#context.keep(openPath(name, O.O_PATH | O.O_NOFOLLOW));
    this.#context.atResume(() => thawAttributes(kept, entry.times ? { times: entry.times } : {}));
  }
}

/** Makes one thing; a folder is ours alone yet. */
export function makeThing(context: ThawContext, thing: Thing, name: string): void {
  const { type, uid, gid, mode } = thing;
  if (type === "S_IFDIR") {
    mkdirSync(name, 0o700);
    return;
  }
  if (type === "S_IFREG") {
    makeFile(context, thing, name);
    return;
  }
  if (type === "S_IFLNK") symlinkSync(thing.target ?? "", name);
  else makeNode(thing, name);
  lchownSync(name, uid, gid);
  if (type !== "S_IFLNK") chmodSync(name, mode);
}

function makeFile(context: ThawContext, thing: Thing, name: string): void {
  const { uid, gid, mode, size = 0, data, blob } = thing;
  const fd = openPath(name, O.O_RDWR | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW, 0o600);
  try {
    const bytes = Buffer.from(data ?? "", "base64");
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
    if (blob !== undefined) copyContents(context.openBlob(blob), fd, size);
    call("fchown", `Owning ${name}`, fd, uid, gid);
    call("fchmod", `Marking ${name}`, fd, mode);
    thawAttributes(fd, thing);
  } finally {
    closeSync(fd);
  }
}

function makeNode({ type, device }: Thing, name: string): void {
  const number = device === undefined ? 0 : makeDevice(device);
  withText(name, (at) => call("mknodat", `Making ${name}`, AT_FDCWD, at, S_IF[type] | 0o600, number));
}

/** Owner and mode of a folder, when all is in it that shall be. */
export function finishFolder({ uid, gid, mode, xattrs }: Thing, fd: LocalFd): void {
  const way = `/proc/self/fd/${fd}`;
  chownSync(way, uid, gid);
  chmodSync(way, mode);
  thawAttributes(fd, { xattrs });
}
