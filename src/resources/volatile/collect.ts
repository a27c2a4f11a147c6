/**
 * Collecting what travels with its name: each thing that the set uses where nothing outlives a boot, the folders above
 * it, and whole folders where that is asked for. Paths here are those of the machine.
 */
import { Memo } from "../memo.ts";
import { readSync } from "node:fs";
import { dirname, join } from "node:path";
import { O } from "../../abi/fcntl.ts";
import { readFileSync, readdirSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { identityOf } from "../../sys/file-identity.ts";
import { asUser } from "../../sys/identity.ts";
import { IN } from "../../abi/inotify.ts";
import { S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { leasedFiles } from "../../proc/locks.ts";
import type { FreezeContext, ObjectState } from "../freeze-context.ts";
import { freezeAttributes } from "../file/attributes.ts";
import { readLink } from "../file/unlinked-special.ts";
import { identityAt } from "../file/reopen.ts";
import { openToReadLater, type Way } from "../file/readable.ts";
import { bothRoles, isTop, lookAt, typeOf, type Entry, type Role } from "./entry.ts";
import { find, type Found } from "./open-path.ts";
import { isMadeAtBoot, isTemporary, isVolatile } from "./file-systems.ts";
import { refuseNotText } from "../names-that-are-no-text.ts";

export const CARRIED = "carried-files";

/** Contents up to this stand in state.json itself. */
const SMALL = 4096;

/** How much a whole folder may be. */
export interface Bounds {
  readonly entries: number;
  readonly bytes: number;
}
/** What is named or mounted comes along in any case, or is refused. */
const ASKED_FOR: Bounds = { entries: 10_000, bytes: 1024 ** 3 };
/** What lies in a folder that somebody has open or stands in. */
const BY_THE_WAY: Bounds = { entries: 1000, bytes: 16 * 1024 ** 2 };

const carryings = new Memo((context: FreezeContext) => new Carrying(context));

/** What is collected for a freeze. */
export const carryingOf = (context: FreezeContext): Carrying => context.memo(carryings);

export class Carrying {
  readonly #context: FreezeContext;
  readonly #entries = new Map<string, Entry>();
  /** The first path of each inode that has several. */
  readonly #linked = new Map<string, string>();
  /** Small files that are still to be read, by their paths. */
  readonly #unread = new Map<string, () => Buffer>();
  readonly #trees: (() => void)[] = [];
  #locks: string | undefined;

  constructor(context: FreezeContext) {
    this.#context = context;
  }

  /** One thing by itself. `local`: a descriptor of it that may be read from. Returns whether it is carried. */
  one(path: string, role: Role, local?: LocalFd): boolean {
    const seen = lookAt(path);
    if (!seen || !this.#mayCarry(path)) return false;
    this.above(path);
    this.#note(path, role, local);
    return true;
  }

  /** The folders above a path, as far as they would be gone as well. */
  above(path: string): void {
    const folders: string[] = [];
    for (let at = dirname(path); comesAlong(at); at = dirname(at)) folders.push(at);
    for (const folder of folders.toReversed()) this.#note(folder, "above");
  }

  /**
   * A file or a folder with all that is in it; when that is more than `bounds`, or what is used `byTheWay` and the set
   * would hear of it, only itself comes, and `alone` is told why.
   */
  tree(path: string, bounds: Bounds, alone: (why: string) => void, byTheWay = false): void {
    if (!this.one(path, "used")) return;
    this.#trees.push(() => {
      if (byTheWay && hearsReading(this.#context)) {
        alone("as the processes watch who opens files (inotify(7))");
        return;
      }
      const found = this.#walk(path, bounds);
      for (const below of found ?? []) this.#beside(below);
      if (!found) alone("as that is much");
    });
  }

  /** Looks into folders, last of all: that is noticed by those who watch them (inotify(7)), the set's own among them. */
  complete(): void {
    for (const look of this.#trees.splice(0)) look();
  }

  /** All paths below a folder, on the same file system; undefined when there are more than the bounds allow. */
  #walk(top: string, { entries, bytes }: Bounds): string[] | undefined {
    const device = lookAt(top)?.dev;
    const found: string[] = [];
    let [left, room] = [entries, bytes];
    const folders = [top];
    for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
      for (const name of this.#list(folder)) {
        const path = join(folder, name);
        const seen = lookAt(path);
        if (!seen || seen.dev !== device) continue;
        refuseNotText(name, path);
        left -= 1;
        // Sparse files count for what they hold.
        if (seen.isFile()) room -= Number(seen.blocks) * 512;
        if (left < 0 || room < 0) return undefined;
        found.push(path);
        if (seen.isDirectory()) folders.push(path);
      }
    }
    return found;
  }

  /** What whoever asked may list. */
  #list(folder: string): readonly string[] {
    using found = orIfGone(() => find(folder), undefined);
    if (found?.stat.type !== S_IF.S_IFDIR) return [];
    const names = orIfGone(() => asUser(this.#context.user, () => readdirSync(found.via)), undefined);
    if (names === undefined) this.#context.note(`${folder} comes along empty: its user may not list it.`);
    return names ?? [];
  }

  /** What is not used may go away while we look, or be left out. */
  #beside(path: string): void {
    if (!this.#mayCarry(path)) {
      this.#context.note(`${path} is left out: it is not the user's.`);
      return;
    }
    try {
      orIfGone(() => this.#note(path, "beside"), undefined);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "NOT_YOURS_TO_READ") throw error;
      this.#context.note(`${path} is left out: ${error.why}`);
    }
  }

  /** Of an ordinary user, what is the user's own comes along, and what this user could make again. */
  #mayCarry(path: string): boolean {
    const { user } = this.#context;
    if (user === undefined) return true;
    for (let at = path; at !== "/" && (at === path || isVolatile(at)); at = dirname(at)) {
      if (isTop(at, dirname(at))) break;
      const seen = lookAt(at);
      if (Number(seen?.uid) !== user.uid || ![user.gid, ...user.groups].includes(Number(seen?.gid))) return false;
    }
    return true;
  }

  #note(path: string, role: Role, local?: LocalFd): void {
    // Looked at and read is one and the same, whatever comes into its place.
    using found = orIfGone(() => find(path), undefined);
    if (!found) return;
    const { uid, gid, mode, deviceNode } = found.stat;
    const type = typeOf(found.stat);
    const known = this.#entries.get(path);
    const both = known ? bothRoles(type, known.role, role) : role;
    if (known?.role === both) return;
    const entry: Entry = {
      path,
      type,
      role: both,
      mode,
      uid,
      gid,
      ...((type === "S_IFREG" || type === "S_IFDIR") && freezeAttributes(this.#context, this.#way(path, found))),
      identity: identityOf(found.fd),
      ...(!comesAlong(dirname(path)) && { parentDirectory: identityAt(OWN_VIEW.at(dirname(path))) }),
      ...(type === "S_IFDIR" && isTop(path, dirname(path)) && { fileSystemRoot: true }),
      ...(type === "S_IFLNK" && { target: readLink(found.fd) }),
      ...((type === "S_IFCHR" || type === "S_IFBLK") && { device: deviceNode }),
    };
    // A mount may stand on a file: only that there is one matters.
    const contents = type === "S_IFREG" && both !== "above" ? this.#contents(entry, found, local) : {};
    if (!contents) return;
    this.#entries.set(path, { ...entry, ...contents });
    this.#context.object(CARRIED, () => this.#state());
  }

  /** Undefined for a file that cannot be read without being noticed. */
  #contents({ path }: Entry, found: Found, local: LocalFd | undefined): Partial<Entry> | undefined {
    const { device, inode, size } = found.stat;
    const first = this.#linked.get(`${device}:${inode}`);
    if (first !== undefined && first !== path) return { size, linkTo: first };
    const leased = this.#isLeased(device, inode);
    if (leased && local === undefined) {
      this.#context.note(
        `${path} would be gone after a boot, and does not come along: to read it would break a lease (fcntl(2), F_SETLEASE).`,
      );
      return undefined;
    }
    const name = `${CARRIED}:${device}:${inode}`;
    if (leased) {
      this.#linked.set(`${device}:${inode}`, path);
      return { size, blob: this.#context.blob(name, { bytes: readAll(local as LocalFd, size) }) };
    }
    const source = openToReadLater(this.#context, this.#way(path, found), O.O_NOATIME | O.O_NONBLOCK);
    this.#linked.set(`${device}:${inode}`, path);
    if (size > SMALL) return { size, blob: this.#context.blob(name, source) };
    this.#unread.set(path, () => readAll(source.fd, size));
    return { size };
  }

  #way(path: string, { via, stat }: Found): Way {
    const [pid = 0] = this.#context.pids;
    const command = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
    return { via, link: path, stat, pid, command };
  }

  /** To open such a file tells its holder to give the lease up (fcntl(2), F_SETLEASE). */
  #isLeased(device: string, inode: bigint): boolean {
    this.#locks ??= readFileSync("/proc/locks", "utf8");
    return leasedFiles(this.#locks, device).has(inode);
  }

  /** Reads the small files, for an image that is going to be written: whoever watches them hears of it (inotify(7)). */
  readSmallFiles(): void {
    for (const [path, bytes] of this.#unread) {
      const entry = this.#entries.get(path) as Entry;
      const data = bytes();
      this.#entries.set(path, { ...entry, size: data.length, data: data.toString("base64") });
    }
    this.#unread.clear();
  }

  /** What is noted later is in it too. */
  #state(): ObjectState & { readonly entries: readonly Entry[] } {
    const all = (): Entry[] => [...this.#entries.values()];
    return {
      kind: CARRIED,
      get entries() {
        return all();
      },
    } as ObjectState & { readonly entries: readonly Entry[] };
  }
}

/** Whether a folder comes along above what is in it. */
function comesAlong(folder: string): boolean {
  return folder !== "/" && lookAt(folder) !== undefined && (isVolatile(folder) || isTemporary(folder));
}

/** By position: that of the open file stays as it is. */
function readAll(fd: LocalFd, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let done = 0;
  for (let got = 1; got > 0 && done < size; done += got) got = readSync(fd, bytes, done, size - done, done);
  return bytes.subarray(0, done);
}

/** What a mount of the set's own shows, if it would be gone after a boot. */
export function carrySource(context: FreezeContext, path: string, about: string): void {
  const [volatile, top] = [isVolatile(path), isTop(path, dirname(path))];
  if (top || isMadeAtBoot(path)) carryingOf(context).one(path, "above");
  else if (volatile) carryWhole(context, path, about);
}

/** What a mount of the set's own stands on. */
export function carryMountPoint(context: FreezeContext, path: string): void {
  if (lookAt(path) !== undefined && isVolatile(path)) carryingOf(context).one(path, "above");
}

/** What somebody has named, or a mount shows: all of it, or a refusal. */
export function carryWhole(context: FreezeContext, path: string, about: string): void {
  carryingOf(context).tree(path, ASKED_FOR, () =>
    context.refuse(
      failures.CARRY_TOO_LARGE({ path, about, entries: ASKED_FOR.entries, mebibytes: ASKED_FOR.bytes / 1024 ** 2 }),
    ),
  );
}

/**
 * What is open for its name, or the working directory of a process, if it would be gone after a boot. A folder comes
 * with what is in it, if that is little.
 */
export function carryOpened(context: FreezeContext, path: string, folder: boolean): void {
  const carrying = carryingOf(context);
  const [volatile, top] = [isVolatile(path), isTop(path, dirname(path))];
  if (!volatile) return;
  if (!folder) carrying.one(path, "used");
  else if (isMadeAtBoot(path) || top) carrying.one(path, "above");
  else {
    const about = `${path} would be gone after a boot, and comes along; of what is in it, only what is open or mapped does`;
    carrying.tree(path, BY_THE_WAY, (why) => context.note(`${about}, ${why}.`), true);
  }
}

/** Whether the set would hear of it when we look into folders (inotify(7)). */
function hearsReading(context: FreezeContext): boolean {
  return context
    .openFiles()
    .flatMap(([, { info }]) => info.rest)
    .some(([name, value]) => {
      const [, mask = "0"] = (name.startsWith("inotify ") && /mask:([0-9a-f]+)/.exec(value)) || [];
      return (Number.parseInt(mask, 16) & READING) !== 0;
    });
}

const READING = IN.IN_ACCESS | IN.IN_OPEN | IN.IN_CLOSE_NOWRITE;
