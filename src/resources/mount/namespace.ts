/**
 * Mount namespaces (mount_namespaces(7)): all mounts, those under others too, in an order in which they can be made
 * again. What shows a file system of the machine is bound again from where the machine has it; others are made.
 */
import { closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { MS } from "../../abi/mount.ts";
import { openSync, readFileSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { attachMount, cloneMount, detachMount, mount, openRoot, readMountInfo, withinMounts } from "../../sys/mount.ts";
import { nameOfNamespace, namespaceOf, openNamespace } from "../../sys/namespaces.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { KmonteError, type Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { parseFdInfo } from "../../proc/fdinfo.ts";
import { parseMountInfo, type Mount } from "../../proc/mountinfo.ts";
import type { ObjectKind } from "../contract.ts";
import { identitySchema } from "../file/identity-schema.ts";
import { identityAt } from "../file/reopen.ts";
import { openPath } from "../file/path-file.ts";
import { carryMountPoint, carrySource } from "../volatile/collect.ts";
import { shownAt } from "../volatile/machine-path.ts";
import { emptyFileSystem, freezeFileSystem, isKernels } from "./file-system.ts";
import { ownerSchema, type Holder, type NamespaceHandle } from "../namespace/handle.ts";
import { freezeRemoved, isRemoved, nameOfRemoved } from "./removed-source.ts";
import { freezeIdMap, isIdMapped } from "./idmapped.ts";
import { buildMounts } from "./restore.ts";
import { coversOf, inBuildingOrder } from "./order.ts";

const mountSchema = v.strictObject({
  mountPoint: v.string(),
  source: v.union([
    /** A path of the machine. */
    v.strictObject({ bind: v.string(), identity: v.optional(identitySchema) }),
    /** A file system of the set's own, and what of it. */
    v.strictObject({ fileSystem: v.string(), path: v.string() }),
    /** A namespace of the set's own (nsfs), or that of kmonte of a type. */
    v.strictObject({ namespace: v.string() }),
    v.strictObject({ namespaceHere: v.string() }),
    /** What was removed from its folder after it had been mounted. */
    v.strictObject({ removed: v.string() }),
  ]),
  /** What of its file system it shows. */
  root: v.string(),
  options: v.array(v.string()),
  /** Its peer group, by the number that it had, and the group that it follows. */
  shared: v.optional(v.number()),
  master: v.optional(v.number()),
  unbindable: v.optional(v.literal(true)),
  /** The machine's own mount, which the namespace shows too: where the machine has it no more, neither has this. */
  machineMount: v.optional(v.literal(true)),
  /** The user namespace by which the owners of files are mapped. */
  idMap: v.optional(v.string()),
});
export type MountState = v.InferOutput<typeof mountSchema>;

const schema = v.strictObject({
  kind: v.literal("mount-namespace"),
  owner: ownerSchema,
  mounts: v.array(mountSchema),
  /** For groups in which the machine has mounts too: where, those that show most first. */
  peerGroups: v.optional(v.record(v.string(), v.array(v.string()))),
});
export type MountNamespaceState = v.InferOutput<typeof schema>;

export interface MountNamespaceHandle extends NamespaceHandle {
  /** Its root directory. */
  readonly root: number;
  /** All mounts in the order in which they were made: a descriptor of what each shows, whatever covers it. */
  readonly mounts: readonly { readonly at: string; readonly fd: LocalFd }[];
}

/** Notes a namespace as an object. */
type Note = (holder: Holder, type: "uts" | "ipc" | "net", namespace: LocalFd) => string;

export function freezeMounts(namespace: LocalFd, process: Holder, note: Note): MountNamespaceState {
  const proc = openSync("/proc", O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC) as LocalFd;
  try {
    const ours = parseMountInfo(readMountInfo(proc));
    const theirs = inBuildingOrder(withinMounts(namespace, () => parseMountInfo(readMountInfo(proc))));
    const sourceOf = (one: Mount): MountState["source"] => {
      const path = shownAt(one, ours);
      if (one.type === "nsfs" && (path === undefined || livesIn(process, one)))
        return namespaceMount(namespace, process, one, note);
      if (path !== undefined) return { bind: path, identity: identityAt(OWN_VIEW.at(path)) };
      if (isRemoved(one)) return { removed: removedSource(namespace, process, one, { theirs, ours }) };
      return { fileSystem: ownFileSystem(namespace, process, one, { theirs, ours }), path: one.root };
    };
    const idMapOf = (one: Mount, from: MountState["source"]): string => {
      const path = "bind" in from ? from.bind : undefined;
      if (path === undefined) throw cannotShow(process, one, "It maps the owners of files.");
      return freezeIdMap(process, one, openUncovered(namespace, [one], theirs), path);
    };
    const mounts = theirs.map((one): MountState => {
      const from = sourceOf(one);
      const machines = "bind" in from && (one.type === "nsfs" || ours.some((other) => isAlike(one, other)));
      return {
        mountPoint: one.mountPoint,
        source: from,
        root: one.root,
        options: [...one.options],
        ...propagationOf(one),
        ...(machines && { machineMount: machines }),
        ...(isIdMapped(one) && !machines && { idMap: idMapOf(one, from) }),
      };
    });
    carrySources(process, theirs, mounts);
    const wanted = new Set(mounts.flatMap(({ shared, master }) => [shared, master]));
    const groups: Record<string, string[]> = {};
    for (const one of ours.toSorted((a, b) => a.root.length - b.root.length)) {
      const { shared } = propagationOf(one);
      if (shared !== undefined && wanted.has(shared)) (groups[shared] ??= []).push(one.mountPoint);
    }
    return {
      kind: "mount-namespace",
      mounts,
      ...(Object.keys(groups).length > 0 && { peerGroups: groups }),
    };
  } finally {
    closeSync(proc);
  }
}

export const mountNamespace: ObjectKind<MountNamespaceState, MountNamespaceHandle, "mount-namespace"> = {
  name: "mount-namespace",
  hasPath: false,
  schema,
  thaw: (state, context) => buildMounts(state, context),
};

function propagationOf({ propagation }: Mount): Pick<MountState, "shared" | "master" | "unbindable"> {
  const group = (kind: string): number | undefined => {
    const field = propagation.find((one) => one.startsWith(`${kind}:`));
    return field === undefined ? undefined : Number(field.slice(kind.length + 1));
  };
  const [shared, master] = [group("shared"), group("master")];
  return {
    ...(shared !== undefined && { shared }),
    ...(master !== undefined && { master }),
    ...(propagation.includes("unbindable") && { unbindable: true }),
  };
}

/** A file of /proc/PID/ns that was mounted to keep the namespace, as ip-netns(8) does. */
function namespaceMount(mounts: LocalFd, process: Holder, one: Mount, note: Note): MountState["source"] {
  const type = one.root.slice(0, one.root.indexOf(":"));
  if (namespaceOf("self", type) === one.root) return { namespaceHere: type };
  const fd = withinMounts(mounts, () => openPath(OWN_VIEW.at(one.mountPoint), 0));
  try {
    if (nameOfNamespace(fd) !== one.root) throw cannotShow(process, one, "Another mount covers it.");
    if (type === "uts" || type === "ipc" || type === "net") return { namespace: note(process, type, fd) };
  } finally {
    closeSync(fd);
  }
  throw cannotShow(process, one, `It shows a ${type} namespace.`);
}

/** Whether a process of the set lives in the namespace that a mount shows: then it is the set's own. */
function livesIn({ context }: Holder, { root }: Mount): boolean {
  const type = root.slice(0, root.indexOf(":"));
  return (
    [...context.tasks.values()].some((task) => namespaceOf(task, type) === root) && namespaceOf("self", type) !== root
  );
}

function isAlike(one: Mount, other: Mount): boolean {
  return one.mountPoint === other.mountPoint && one.device === other.device && one.root === other.root;
}

/** What mounts of the set's own show of the machine, and what they stand on there, must be there at the thaw. */
function carrySources({ context, pid, command }: Holder, seen: readonly Mount[], mounts: readonly MountState[]): void {
  const bindOf = new Map(seen.map(({ id }, i) => [id, mounts[i]?.source]));
  for (const [i, { mountPoint: at, source: from, machineMount: machines }] of mounts.entries()) {
    if (machines) continue;
    if ("bind" in from)
      carrySource(context, from.bind, `It is mounted at ${at} in the mount namespace of process ${pid} (${command})`);
    const below = seen.find(({ id }) => id === seen[i]?.parent);
    const under = below && below.id !== seen[i]?.id ? bindOf.get(below.id) : undefined;
    if (below && under && "bind" in under) carryMountPoint(context, join(under.bind, relative(below.mountPoint, at)));
  }
}

/** The object of a file system that only the set has, seen through the mount that shows most of it. */
function ownFileSystem(
  namespace: LocalFd,
  process: Holder,
  mounted: Mount,
  { theirs, ours }: Readonly<Record<"theirs" | "ours", readonly Mount[]>>,
): string {
  const { device } = mounted;
  return process.context.object(`file-system:${device}`, () => {
    const shown = theirs
      .filter((one) => one.device === device && !isRemoved(one))
      .toSorted((a, b) => a.root.length - b.root.length);
    const [widest] = shown;
    if (!widest) return emptyFileSystem(process, mounted);
    const above = widest.root === "/" ? "/" : `${widest.root}/`;
    const whole = isKernels(widest.type);
    const missed = shown.find(({ root }) => !whole && root !== widest.root && !root.startsWith(above));
    if (missed) throw cannotShow(process, missed, `It shows ${missed.root}, and no other mount shows what is around.`);
    const opened: LocalFd[] = [];
    try {
      const same = shown.filter(({ root }) => root === widest.root);
      return freezeFileSystem(process, widest, () => {
        const fd = openUncovered(namespace, same, theirs) ?? openAmongOurs(widest, ours);
        if (fd === undefined) throw cannotShow(process, widest, "Other mounts cover it, and it cannot be uncovered.");
        opened.push(fd);
        return fd;
      });
    } finally {
      for (const fd of opened) closeSync(fd);
    }
  });
}

/** What a mount shows that has no name on its file system any more. */
function removedSource(
  namespace: LocalFd,
  process: Holder,
  one: Mount,
  seen: Readonly<Record<"theirs" | "ours", readonly Mount[]>>,
): string {
  const same = seen.theirs.filter(({ device, root }) => device === one.device && root === one.root);
  const fd = openUncovered(namespace, same, seen.theirs);
  if (fd === undefined) throw cannotShow(process, one, "Other mounts cover it, and it cannot be uncovered.");
  process.context.keep(fd);
  const { inode } = fstat(fd);
  return process.context.object(`removed-source:${one.device}:${inode}`, () => {
    for (let folder = dirname(nameOfRemoved(one)); ; folder = dirname(folder)) {
      const path = shownAt({ device: one.device, root: folder }, seen.ours);
      if (path !== undefined)
        return freezeRemoved(
          process,
          { fd, link: one.root },
          { parentDirectory: path, identity: identityAt(OWN_VIEW.at(path)) },
        );
      if (folder === "/") break;
    }
    const fileSystem = ownFileSystem(namespace, process, one, seen);
    return freezeRemoved(process, { fd, link: one.root }, { fileSystem });
  });
}

/** A descriptor of what one of several mounts shows, without what is mounted on it. */
function openUncovered(namespace: LocalFd, same: readonly Mount[], all: readonly Mount[]): LocalFd | undefined {
  for (const one of same) {
    const seen = orIfGone(
      () => withinMounts(namespace, () => openPath(OWN_VIEW.at(one.mountPoint), O.O_PATH)),
      undefined,
    );
    if (seen === undefined) continue;
    const visible = parseFdInfo(readFileSync(`/proc/self/fdinfo/${seen}`, "utf8")).mountId === one.id;
    if (visible) {
      const alone = attemptOrNothing(() => withinMounts(namespace, () => cloneMount(one.mountPoint)));
      if (alone === undefined) return seen;
      closeSync(seen);
      return alone;
    }
    closeSync(seen);
  }
  const [covered] = same;
  if (!covered) return undefined;
  // A copy of all mounts, in a namespace of ours for the moment, from which the covers are taken away.
  return attemptOrNothing(() => {
    const tree = withinMounts(namespace, () => cloneMount("/", true));
    try {
      return withinMounts(undefined, (_, made) => {
        closeSync(made);
        mount("none", "/", "", MS.REC | MS.PRIVATE, "");
        attachMount(tree, tmpdir());
        for (const cover of coversOf(covered, all)) detachMount(join(tmpdir(), cover.mountPoint));
        return cloneMount(join(tmpdir(), covered.mountPoint));
      });
    } finally {
      closeSync(tree);
    }
  });
}

/** What the machine has too, under other mounts: here none is locked. */
function openAmongOurs({ device, root }: Mount, ours: readonly Mount[]): LocalFd | undefined {
  const same = ours.filter((one) => one.device === device && one.root === root);
  const home = openNamespace("thread-self", "mnt");
  try {
    return openUncovered(home, same, ours);
  } finally {
    closeSync(home);
  }
}

/** In a user namespace below, mounts that came from above are locked together. */
function attemptOrNothing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof KmonteError && error.code === "SYSCALL_EINVAL") return undefined;
    throw error;
  }
}

function cannotShow({ pid, command }: Holder, { mountPoint, type }: Mount, why: string): Refusal {
  return failures.MOUNT_HIDDEN({ pid, command, type, mountPoint, why });
}

/** The root of the mount namespace of a process that has another root itself. */
export function openNamespaceRoot(namespace: LocalFd): LocalFd {
  return withinMounts(namespace, openRoot);
}
