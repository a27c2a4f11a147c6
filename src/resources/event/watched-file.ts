/** The file that a watch is on (inotify(7), fanotify(7)), as fdinfo tells of it: by inode and file handle. */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { readlinkSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { type FileIdentity, identityOf } from "../../sys/file-identity.ts";
import { asUser } from "../../sys/identity.ts";
import { call, withStruct } from "../../sys/call.ts";
import { FIONREAD } from "../../abi/inotify.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { identitySchema } from "../file/identity-schema.ts";
import { findToReopen, identityAt } from "../file/reopen.ts";
import { carryOpened } from "../volatile/collect.ts";
import { lookAt } from "../volatile/entry.ts";
import { machinePathOfName } from "../volatile/machine-path.ts";
import { nameOfOpen, openByHandle, searchName } from "../file/find-inode.ts";

export const watchedSchema = {
  /** A file that has a name, or … */
  path: v.optional(v.string()),
  identity: v.optional(identitySchema),
  /** … an open file of the set that has none any more. */
  file: v.optional(v.string()),
};
export interface Watched {
  readonly path?: string | undefined;
  readonly identity?: FileIdentity | undefined;
  readonly file?: string | undefined;
}

/** `major:minor` of the device number that the kernel writes in hexadecimal, in its own form. */
export function deviceOf(sdev: string): string {
  const device = Number.parseInt(sdev, 16);
  return `${device >>> 20}:${device & 0xfffff}`;
}

/** Bytes of events that nobody has read yet. */
export function queuedBytes(fd: LocalFd): number {
  return withStruct(4, (buffer, address) => {
    call("ioctl", "Asking for queued events", fd, FIONREAD, address);
    return buffer.readInt32LE(0);
  });
}

/** `text` is the line of fdinfo, which has the handle where the file system gives any. */
export function findWatched(file: OpenFile, text: string, device: string, inode: bigint): Watched | undefined {
  const found = findIt(file, text, device, inode);
  const path = found?.path === undefined ? undefined : machinePathOfName(file.context, file.task, found.path);
  if (path !== undefined) carryOpened(file.context, path, lookAt(path)?.isDirectory() === true);
  return found;
}

function findIt(file: OpenFile, text: string, device: string, inode: bigint): Watched | undefined {
  const [, type, handle] = /fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+)/.exec(text) ?? [];
  const bytes = Buffer.from(handle ?? "", "hex");
  const local =
    type === undefined
      ? undefined
      : openByHandle(file.context.mounts, file.task, device, { type: Number.parseInt(type, 16), bytes });
  try {
    return find(file, local, device, inode);
  } finally {
    if (local !== undefined) closeSync(local);
  }
}

function find(file: OpenFile, local: LocalFd | undefined, device: string, inode: bigint): Watched | undefined {
  const { user, mounts } = file.context;
  const hints = [readlinkSync(procPath(file.task, "cwd"))];
  if (local !== undefined) {
    const seen = fstat(local);
    // A file without any link is not searched for.
    const path = seen.links === 0 ? undefined : asUser(user, () => nameOfOpen(mounts, local, file.task, hints));
    if (path !== undefined) return { path, identity: identityOf(local) };
    const open = file.context
      .openFiles()
      .find(([, { stat }]) => stat.inode === seen.inode && stat.device === seen.device);
    return open && { file: open[0] };
  }
  const open = file.context.openFiles().find(([, { stat }]) => stat.inode === inode && stat.device === device);
  const seen = open?.[1].stat ?? { ...fstat(file.local), inode, device };
  const path = asUser(user, () => searchName(mounts, file.task, seen, hints));
  if (path !== undefined) return { path, identity: identityAt(mounts.at(path)) };
  return open && { file: open[0] };
}

/** Lends a way to it when it is watched again: `via` is a magic link. Who watches must be able to read it. */
export function reachWatched<T>(watched: Watched, context: ThawContext, use: (via: string) => T): T {
  const { path, identity, file = "" } = watched;
  if (path === undefined) return use(`/proc/self/fd/${context.file(file)}`);
  const found = findToReopen(context, { path, identity }, 0);
  try {
    return use(`/proc/self/fd/${found}`);
  } finally {
    closeSync(found);
  }
}
