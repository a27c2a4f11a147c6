/**
 * What stands behind open regular files and mappings: a file's contents. Descriptors and mappings that lead to the
 * same inode share one object.
 */
import { Memo } from "../memo.ts";
import type { MountView, OwnPath } from "../../sys/mount-view.ts";
import { closeSync } from "node:fs";
import { dirname } from "node:path";
import { O } from "../../abi/fcntl.ts";
import { asUser } from "../../sys/identity.ts";
import type { LocalFd, Pid, Task } from "../../lib/brand.ts";
import type { FileStat } from "../../sys/stat.ts";
import { OVERLAYFS_SUPER_MAGIC, S_IF } from "../../abi/stat.ts";
import { fileSystemOf, lstat } from "../../sys/stat.ts";
import type { FreezeContext, ObjectState } from "../freeze-context.ts";
import { failures } from "../../errors/catalogue.ts";
import { freezeShadowed } from "./shadowed-file.ts";
import { searchName } from "./find-inode.ts";
import { freezeMemfd } from "./memfd.ts";
import { freezePathFile, openPath } from "./path-file.ts";
import { freezeSharedAnonymous } from "../memory/shared-anonymous.ts";
import { freezeUnlinkedFile } from "./unlinked-file.ts";
import { freezeVolatileFile, noteOtherName } from "../volatile/volatile-file.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { refuseNotText } from "../names-that-are-no-text.ts";

/** A way to contents: a magic link of /proc, what it says, and what it leads to. */
export interface ContentsLook {
  /** `/proc/PID/fd/N` or `/proc/PID/map_files/A-B`: opening it opens the file itself, deleted or not. */
  readonly via: OwnPath;
  readonly link: string;
  readonly stat: FileStat;
  readonly pid: Pid;
  readonly task: Task;
  readonly command: string;
  readonly sharedAnonymous?: boolean;
  /** It is mapped so that others see what is written (mmap(2), MAP_SHARED). */
  readonly sharedWritable?: boolean;
  /** A descriptor of ours that is the set's own, good for reading. */
  readonly local?: LocalFd | undefined;
  /** It is a shared mapping, which mmap(2) gives to none but those who may read the file. */
  readonly mappedToRead?: boolean;
}

/** A thawed object of contents. */
export interface ContentsHandle {
  /** Opens it anew with these flags of open(2): a new open file description each time, which the caller owns. */
  open(flags: number): LocalFd;
  /** The same for a private mapping, which needs the very contents of the freeze. */
  openToMap?(flags: number): LocalFd;
  /** The descriptor that it was made with, once, for the open file that had made it: memfd_create(2), O_TMPFILE. */
  made?(flags: number): LocalFd | undefined;
}

/** The path that a magic link shows, without the kernel's mark for files that have no name any more. */
export function linkedPath(link: string): string {
  return link.endsWith(" (deleted)") ? link.slice(0, -" (deleted)".length) : link;
}

/** Whether a link's path still leads to the file, which may be a symbolic link itself (O_PATH). */
export function isLinked(mounts: MountView, link: string, seen: FileStat): boolean {
  if (!link.startsWith("/")) return false;
  refuseNotText(link, link);
  const found = orIfGone(() => lstat(mounts.at(link)), undefined);
  return found?.inode === seen.inode && found.device === seen.device;
}

/** Notes the contents as an object of the frozen set and returns the object's id. */
export function contentsObject(looker: FreezeContext, look: ContentsLook): string {
  const id = `file:${look.stat.device}:${look.stat.inode}`;
  // What has no path belongs to whoever has it.
  const context = look.link.startsWith("/") ? looker.in(looker.placeOf(look.task, look.via)) : looker;
  if (context.has(id)) {
    noteOtherName(context, look, isLinked);
    return inAnotherPlace(context, look, id) ?? id;
  }
  context.memo(places).set(id, context.place);
  const make = (): ObjectState => {
    if (look.sharedAnonymous) return freezeSharedAnonymous(context, id, look);
    if (look.link.startsWith("/memfd:")) return freezeMemfd(context, id, look);
    if (isLinked(context.mounts, look.link, look.stat)) return freezeNamed(context, look);
    return (
      freezeShadowed(context, look) ?? freezeLinkedElsewhere(context, look) ?? freezeUnlinkedFile(context, id, look)
    );
  };
  return context.object(id, make);
}

/** The places (mount namespaces) in which files were seen first. */
const places = new Memo(() => new Map<string, string | undefined>());

/** A file that is used through mounts of several namespaces is an object in each: it keeps the mount from being unmounted. */
function inAnotherPlace(context: FreezeContext, look: ContentsLook, id: string): string | undefined {
  const { place } = context;
  if (!look.link.startsWith("/") || context.memo(places).get(id) === place) return undefined;
  const there = `${id}@${place ?? "machine"}`;
  if (context.has(there)) return there;
  if (!isLinked(context.mounts, look.link, look.stat)) return undefined;
  return context.object(there, () => freezeNamed(context, look));
}

/** One that its path leads to: it stays where it is, or travels with its name. */
function freezeNamed(context: FreezeContext, look: ContentsLook): ObjectState {
  return freezeVolatileFile(context, look) ?? freezePathFile(look);
}

/** An overlay counts the names of a lower file as they are below, where what was removed above still has its own. */
function isCountedBelow({ via }: ContentsLook): boolean {
  const fd = openPath(via, O.O_PATH);
  try {
    return fileSystemOf(fd) === OVERLAYFS_SUPER_MAGIC;
  } finally {
    closeSync(fd);
  }
}

/** A file whose name was removed but that has another one (link(2)) is not to be doubled. */
function freezeLinkedElsewhere(context: FreezeContext, look: ContentsLook): ObjectState | undefined {
  if (look.stat.type !== S_IF.S_IFREG || look.stat.links === 0 || !look.link.startsWith("/")) return undefined;
  if (look.stat.links === 1 && isCountedBelow(look)) return undefined;
  // In folders that the user who asked may list.
  const path = asUser(context.user, () =>
    searchName(context.mounts, look.task, look.stat, [dirname(linkedPath(look.link))]),
  );
  if (path !== undefined) return freezeNamed(context, { ...look, link: path });
  throw failures.HARD_LINK({
    pid: look.pid,
    command: look.command,
    link: look.link,
    links: look.stat.links,
    folder: dirname(linkedPath(look.link)),
    inode: look.stat.inode,
  });
}
