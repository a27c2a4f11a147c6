/** Where the machine shows what a process uses: a process in a mount namespace of its own knows it by another path. */
import { Memo } from "../memo.ts";
import { closeSync } from "node:fs";
import { join, relative } from "node:path";
import { O } from "../../abi/fcntl.ts";
import { openSync, readFileSync, statSync } from "../../sys/files.ts";
import { readMountInfo, withinMounts } from "../../sys/mount.ts";
import { OWN_VIEW, type OwnPath } from "../../sys/mount-view.ts";
import { namespaceOf, openNamespace } from "../../sys/namespaces.ts";
import { formatDevice } from "../../abi/stat.ts";
import { mountIdOf } from "../../sys/stat.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { parseMountInfo, type Mount } from "../../proc/mountinfo.ts";
import type { FreezeContext } from "../freeze-context.ts";
import { openPath } from "../file/path-file.ts";

/** The path by which the machine shows what of a file system; undefined when it does not. */
export function shownAt({ device, root }: Pick<Mount, "device" | "root">, ours: readonly Mount[]): string | undefined {
  for (const one of ours) {
    if (one.device !== device) continue;
    if (one.root !== "/" && root !== one.root && !root.startsWith(`${one.root}/`)) continue;
    const path = join(one.mountPoint, one.root === "/" ? root : root.slice(one.root.length));
    const found = orIfGone(() => statSync(OWN_VIEW.at(path), { bigint: true, throwIfNoEntry: false }), undefined);
    // Another mount may cover it. The device of a subvolume (btrfs) is not that of its file system.
    if (found && (formatDevice(found.dev) === device || one.type === "btrfs" || one.type === "overlay")) return path;
  }
  return undefined;
}

/** The mounts of a place (a mount namespace, or "" for ours), read once a freeze. */
const known = new Memo(() => new Map<string, readonly Mount[]>());

function mountsOf(context: FreezeContext, place: string | undefined): readonly Mount[] {
  const all = context.memo(known);
  const mounts = all.get(place ?? "") ?? readMounts(context, place);
  all.set(place ?? "", mounts);
  return mounts;
}

function readMounts({ tasks }: FreezeContext, place: string | undefined): readonly Mount[] {
  if (place === undefined) return parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
  const member = [...tasks.values()].find((task) => namespaceOf(task, "mnt") === place);
  if (member === undefined) return [];
  const proc = openSync("/proc", O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC) as LocalFd;
  const there = openNamespace(member, "mnt");
  try {
    return withinMounts(there, () => parseMountInfo(readMountInfo(proc)));
  } finally {
    closeSync(proc);
    closeSync(there);
  }
}

/** Of what a magic link of a process leads to, whose path in its place is `path`. */
export function machinePathOf(context: FreezeContext, task: Task, via: OwnPath, path: string): string | undefined {
  const place = context.placeOf(task, via);
  if (place === undefined) return path;
  const id = mountIdOf(via);
  const mount = mountsOf(context, place).find((one) => one.id === id);
  if (!mount) return undefined;
  const root = join(mount.root, relative(mount.mountPoint, path));
  return shownAt({ device: mount.device, root }, mountsOf(context, undefined));
}

/** The same for a path that leads to something in the place that is looked at now. */
export function machinePathOfName(context: FreezeContext, task: Task, path: string): string | undefined {
  const fd = orIfGone(() => openPath(context.mounts.at(path), O.O_PATH | O.O_NOFOLLOW), undefined);
  if (fd === undefined) return undefined;
  try {
    return machinePathOf(context, task, `/proc/self/fd/${fd}`, path);
  } finally {
    closeSync(fd);
  }
}
