/**
 * Making what was carried. Folders are entered from one another by descriptor, each the right one (`folder.ts`). What is
 * made in one that others may change is made in a folder that is nobody's but ours, and moved from there when it is
 * whole: its owner and mode are set by descriptor, of what we have made ourselves.
 */
import { randomBytes } from "node:crypto";
import { closeSync, writeSync } from "node:fs";
import { basename, dirname } from "node:path";
import { lstatSync, mkdirSync, rmdirSync, symlinkSync, unlinkSync } from "../../sys/files.ts";
import { attempt, call, withText } from "../../sys/call.ts";
import { AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, O, RENAME } from "../../abi/fcntl.ts";
import { OWN_VIEW, type OwnPath, type ProcPath } from "../../sys/mount-view.ts";
import { isForUser } from "../../sys/identity.ts";
import { S_IF, makeDevice } from "../../abi/stat.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { errnoOf } from "../../lib/no-such-file.ts";
import type { ThawContext } from "../thaw-context.ts";
import { copyContents } from "../file/copy.ts";
import { thawAttributes } from "../file/attributes.ts";
import { ownOpen } from "../file/unlinked-special.ts";
import { openCanonical, openPath } from "../file/path-file.ts";
import { isSame, whyOther, type Entry, type Thing } from "./entry.ts";
import { isPutByRoot, whyNotIn } from "./folder.ts";
import { Found } from "./open-path.ts";
import { isMadeAtBoot } from "./file-systems.ts";
import { fateOfComer, inTheWay, otherFolder, whyNot, type Planned } from "./plan.ts";

const PATH_FOLDER = O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW;

interface Folder {
  readonly fd: LocalFd;
  /** Where things are made first; the folder itself as long as nobody else can change anything in it. */
  stage: LocalFd | undefined;
}

export class Maker {
  readonly #context: ThawContext;
  readonly #steps: ReadonlyMap<string, Planned>;
  /** The same by the paths that the image has. */
  readonly #byName: ReadonlyMap<string, Planned>;
  readonly #folders = new Map<string, Folder>();
  /** Removes the folders in which things were made. */
  readonly #unstage: (() => void)[] = [];
  /** Files with several names, by their first, as the image has it. */
  readonly #linked = new Map<string, LocalFd>();
  readonly #first: ReadonlySet<string>;

  constructor(context: ThawContext, steps: readonly Planned[]) {
    this.#context = context;
    this.#steps = new Map(steps.map((step) => [step.path, step]));
    this.#byName = new Map(steps.map((step) => [step.entry.path, step]));
    this.#first = new Set(steps.flatMap(({ entry }) => entry.linkTo ?? []));
  }

  /** Parents before what is in them; owners, modes and times of folders come last, the innermost first. */
  make(): void {
    const folders: (readonly [Entry, LocalFd])[] = [];
    for (const step of this.#steps.values()) this.#giveBack(step);
    try {
      for (const { entry, path, fate } of this.#steps.values()) {
        if (fate !== "make") continue;
        const made = this.#makeOne(entry, path);
        if (made !== undefined) folders.push([entry, made]);
      }
    } finally {
      for (const unstage of this.#unstage) unstage();
    }
    for (const [entry, fd] of folders.toReversed()) finishFolder(entry, fd);
    // Sockets, FIFOs and files without a name are made in them later.
    this.#context.during("arm", () => {
      for (const [{ times }, fd] of folders.toReversed()) thawAttributes(fd, { times });
    });
  }

  /** A folder that a boot has made gets the owner and mode back that it had. */
  #giveBack({ entry, path, fate }: Planned): void {
    if (
      fate !== "other" ||
      entry.type !== "S_IFDIR" ||
      entry.fileSystemRoot ||
      isMadeAtBoot(path) ||
      !isPutByRoot(path)
    )
      return;
    const fd = this.#context.keep(openCanonical(OWN_VIEW, path, PATH_FOLDER));
    const before = fstat(fd);
    if (whyOther(entry, before) === undefined) return;
    this.#context.undo(path, () => ownOpen(fd, before));
    ownOpen(fd, entry);
  }

  /** Returns a folder, which stays open. */
  #makeOne(entry: Entry, path: string): LocalFd | undefined {
    const folder = this.#folder(dirname(path), entry);
    const name = basename(path);
    const stage = (folder.stage ??= this.#stageIn(folder.fd, dirname(path)));
    const at = `/proc/self/fd/${stage}/${name}` as const;
    const made = unlessTaken(() => this.#link(entry, at) ?? makeThing(this.#context, this.#withContents(entry), at));
    if (made === undefined) return this.#takeComer(entry, path);
    let isThere = stage === folder.fd;
    try {
      isThere ||= unlessTaken(() => move(entry, path, stage, folder.fd)) === true;
      if (isThere) this.#context.noteMadeFile(made);
      if (isThere) this.#undo(entry, path, `/proc/self/fd/${folder.fd}/${name}`, fstat(made).inode);
    } catch (error) {
      closeSync(made);
      throw error;
    }
    if (isThere) return this.#keep(entry, path, made);
    closeSync(made);
    return this.#takeComer(entry, path);
  }

  /**
   * The boot goes on meanwhile: what systemd makes for a unit, it makes when it starts the unit, which waits for us by
   * then. What has come counts as if it had been there when it was looked for.
   */
  #takeComer(entry: Entry, path: string): undefined {
    this.#giveBack({ entry, path, fate: fateOfComer(entry, path, (blob) => this.#context.openBlob(blob)) });
  }

  #keep(entry: Entry, path: string, made: LocalFd): LocalFd | undefined {
    if (entry.type === "S_IFDIR") {
      this.#folders.set(path, { fd: this.#context.keep(made), stage: made });
      return made;
    }
    const isUsed = entry.type === "S_IFREG" && entry.role === "used";
    if (!isUsed && !this.#first.has(entry.path)) {
      closeSync(made);
      return undefined;
    }
    this.#context.keep(made);
    this.#linked.set(entry.path, made);
    // Reading it in, and shared mappings, may change the times again.
    if (isUsed) this.#context.during("arm", () => thawAttributes(made, { times: entry.times }));
    return undefined;
  }

  /** A folder that is there, entered from the one above it; `below` is made in it. */
  #folder(path: string, below: Entry): Folder {
    const known = this.#folders.get(path);
    if (known) return known;
    const entry = this.#steps.get(path)?.entry;
    const fd = this.#context.keep(
      entry
        ? openPath(`/proc/self/fd/${this.#folder(dirname(path), entry).fd}/${basename(path)}`, PATH_FOLDER)
        : openCanonical(OWN_VIEW, path, PATH_FOLDER),
    );
    const why = whyNotIn(path, { entry, identity: below.parentDirectory }, new Found(fd));
    if (why !== undefined) throw otherFolder(path, why);
    const folder = { fd, stage: undefined };
    this.#folders.set(path, folder);
    return folder;
  }

  /** A folder in it that nobody else can change anything in, and that gives nothing on to what is made in it (acl(5)). */
  #stageIn(folder: LocalFd, path: string): LocalFd {
    const name = `/proc/self/fd/${folder}/.kmonte-${randomBytes(8).toString("hex")}` as const;
    mkdirSync(name, 0o700);
    this.#unstage.push(() => withText(name, (at) => void attempt("rmdir", at)));
    const stage = this.#context.keep(openPath(name, PATH_FOLDER));
    const { uid, mode } = fstat(stage);
    // Whoever may rename things in the folder can only have put there what is root's alone, too.
    if (!isForUser() && (uid !== 0 || (mode & 0o077) !== 0)) throw otherFolder(path, "It is changed right now.");
    for (const acl of ["system.posix_acl_default", "system.posix_acl_access"])
      withText(`/proc/self/fd/${stage}`, (at) => withText(acl, (key) => attempt("removexattr", at, key)));
    return stage;
  }

  #undo(entry: Entry, path: string, name: ProcPath, made: bigint): void {
    this.#context.undo(path, () => {
      if (lstatSync(name, { bigint: true, throwIfNoEntry: false })?.ino !== made) return;
      if (entry.type === "S_IFDIR") rmdirSync(name);
      else unlinkSync(name);
    });
  }

  /** Another name of a file that is there; undefined for a file by itself. */
  #link({ path, linkTo }: Entry, name: ProcPath): LocalFd | undefined {
    const file = linkTo === undefined ? undefined : (this.#linked.get(linkTo) ?? this.#findFirst(linkTo));
    if (file === undefined) return undefined;
    withText(`/proc/self/fd/${file}`, (from) =>
      withText(name, (to) => call("linkat", `Linking ${path}`, AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW)),
    );
    return openPath(name, O.O_PATH | O.O_NOFOLLOW);
  }

  /** Undefined when it is not there, and does not come back under that name. */
  #findFirst(linkTo: string): LocalFd | undefined {
    const step = this.#byName.get(linkTo);
    if (!step || step.fate === "leave") return undefined;
    const { entry, path } = step;
    const folder = this.#folder(dirname(path), entry);
    const fd = this.#context.keep(openPath(`/proc/self/fd/${folder.fd}/${basename(path)}`, O.O_PATH | O.O_NOFOLLOW));
    const found = new Found(fd);
    const why = isSame(entry, found) ? undefined : whyNot(entry, path, found, (blob) => this.#context.openBlob(blob));
    if (why !== undefined) throw inTheWay(entry, path, why);
    this.#linked.set(linkTo, fd);
    return fd;
  }

  /** They stand with the first name of a file. */
  #withContents(entry: Entry): Thing {
    const first = entry.linkTo === undefined ? undefined : this.#byName.get(entry.linkTo)?.entry;
    return first ? { ...entry, size: first.size, data: first.data, blob: first.blob } : entry;
  }
}

/** Undefined where something has that name already (EEXIST). */
function unlessTaken<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
    return undefined;
  }
}

/** Into the folder where it belongs. Fails with EEXIST where something has come since it was looked for. */
function move(entry: Entry, path: string, from: LocalFd, to: LocalFd): true {
  try {
    withText(basename(path), (name) =>
      call("renameat2", `Naming ${path}`, from, name, to, name, RENAME.RENAME_NOREPLACE),
    );
    return true;
  } catch (error) {
    withText(basename(path), (name) => attempt("unlinkat", from, name, entry.type === "S_IFDIR" ? AT_REMOVEDIR : 0));
    throw error;
  }
}

/** Makes one thing; a folder is ours alone yet. Returns a descriptor of it, for its name only (O_PATH). */
export function makeThing(context: ThawContext, thing: Thing, name: OwnPath): LocalFd {
  const { type } = thing;
  if (type === "S_IFREG") return makeFile(context, thing, name);
  if (type === "S_IFDIR") mkdirSync(name, 0o700);
  else if (type === "S_IFLNK") symlinkSync(thing.target ?? "", name);
  else makeNode(thing, name);
  const made = openPath(name, O.O_PATH | O.O_NOFOLLOW);
  if (type !== "S_IFDIR") ownOpen(made, thing);
  return made;
}

function makeFile(context: ThawContext, thing: Thing, name: OwnPath): LocalFd {
  const { size = 0, data = "", blob } = thing;
  const fd = openPath(name, O.O_RDWR | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW, 0o600);
  try {
    const bytes = Buffer.from(data, "base64");
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done);
    if (blob !== undefined) copyContents(context.openBlob(blob), fd, size);
    ownOpen(fd, thing);
    thawAttributes(fd, thing);
    return openPath(`/proc/self/fd/${fd}`, O.O_PATH);
  } finally {
    closeSync(fd);
  }
}

function makeNode({ type, device }: Thing, name: string): void {
  const number = device === undefined ? 0 : makeDevice(device);
  withText(name, (at) => call("mknodat", `Making ${name}`, AT_FDCWD, at, S_IF[type] | 0o600, number));
}

/** Owner and mode of a folder, when all is in it that shall be. */
export function finishFolder(thing: Thing, fd: LocalFd): void {
  ownOpen(fd, thing);
  thawAttributes(fd, { xattrs: thing.xattrs });
}
