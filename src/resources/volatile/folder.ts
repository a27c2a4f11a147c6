/**
 * Folders in which carried things are made. Root makes them where the same users as at the freeze can change anything:
 * in the very same folder, in one of the same owner and mode, or where only root has a say.
 */
import { dirname } from "node:path";
import { type FileIdentity, identityOf, isSameFile } from "../../sys/file-identity.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { isForUser } from "../../sys/identity.ts";
import { FUSE_SUPER_MAGIC } from "../../abi/stat.ts";
import { fileSystemOf } from "../../sys/stat.ts";
import { isRootsWay } from "../file/create-in-directory.ts";
import { whyOther, type Entry } from "./entry.ts";
import { find, type Found } from "./open-path.ts";

/** What is known of a folder: the entry that it is, or which one it was where it does not come along. */
export interface KnownFolder {
  readonly entry?: Entry | undefined;
  readonly identity?: FileIdentity | undefined;
}

/**
 * Whether nobody but root can have put what stands at a path there, such as a folder that a boot makes in /run before
 * its daemon comes (tmpfiles.d(5), RuntimeDirectory= of systemd.exec(5)): it gets the owner and mode that it had.
 */
export function isPutByRoot(path: string): boolean {
  if (isForUser()) return false;
  using parent = find(dirname(path));
  if (!parent || parent.stat.uid !== 0 || (parent.stat.mode & WRITABLE_BY_OTHERS) !== 0) return false;
  return isRootsWay(OWN_VIEW, dirname(path), parent.fd);
}

const WRITABLE_BY_OTHERS = 0o022;

/** Why nothing is made in a folder with our rights; undefined where it is. */
export function whyNotIn(path: string, { entry, identity }: KnownFolder, found: Found): string | undefined {
  // A user's rights are all that counts then.
  if (isForUser()) return undefined;
  const was = entry?.identity ?? identity;
  if (was && isSameFile(was, identityOf(found.fd))) return undefined;
  // It may say of its files what it likes.
  if (fileSystemOf(found.fd) === FUSE_SUPER_MAGIC) return "A user's program may stand behind its file system (FUSE).";
  if (isRootsWay(OWN_VIEW, path, found.fd) || (entry?.type === "S_IFDIR" && isPutByRoot(path))) return undefined;
  if (!entry) return "It is another folder, and others than root may have put it there.";
  return whyOther(entry, found.stat);
}
