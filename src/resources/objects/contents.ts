/**
 * What stands behind open regular files and mappings: a file's contents. Descriptors and mappings that lead to the
 * same inode share one object.
 */
import type { LocalFd } from '../../lib/brand.ts';
import type { FileStat } from '../../abi/stat.ts';
import { lstat } from '../../abi/stat.ts';
import type { FreezeContext } from '../contract.ts';
import { freezeMemfd } from './memfd.ts';
import { freezePathFile } from './path-file.ts';
import { freezeSharedAnonymous } from './shared-anonymous.ts';
import { freezeUnlinkedFile } from './unlinked-file.ts';

/** A way to contents: a magic link of /proc, what it says, and what it leads to. */
export interface ContentsLook {
  /** `/proc/PID/fd/N` or `/proc/PID/map_files/A-B`: opening it opens the file itself, deleted or not. */
  readonly via: string;
  readonly link: string;
  readonly stat: FileStat;
  readonly pid: number;
  readonly command: string;
  readonly sharedAnonymous?: boolean;
}

/** A thawed object of contents. */
export interface ContentsHandle {
  /** Opens it anew with these flags of open(2): a new open file description each time, which the caller owns. */
  open(flags: number): LocalFd;
}

/** The path that a magic link shows, without the kernel's mark for files that have no name any more. */
export function linkedPath(link: string): string {
  return link.endsWith(' (deleted)') ? link.slice(0, -' (deleted)'.length) : link;
}

/** Whether a link's path still leads to the file, which may be a symbolic link itself (O_PATH). */
export function isLinked(link: string, seen: FileStat): boolean {
  if (!link.startsWith('/')) return false;
  try {
    const found = lstat(link);
    return found.inode === seen.inode && found.device === seen.device;
  } catch {
    return false;
  }
}

/** Notes the contents as an object of the frozen set and returns the object's id. */
export function contentsObject(context: FreezeContext, look: ContentsLook): string {
  const id = `file:${look.stat.device}:${look.stat.inode}`;
  return context.object(id, () => {
    if (look.sharedAnonymous) return freezeSharedAnonymous(context, id, look);
    if (look.link.startsWith('/memfd:')) return freezeMemfd(context, id, look);
    if (isLinked(look.link, look.stat)) return freezePathFile(look);
    return freezeUnlinkedFile(context, id, look);
  });
}
