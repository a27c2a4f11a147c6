/**
 * Mount namespaces (mount_namespaces(7)): the mounts that can be reached, parents first. What shows a file system of
 * the machine is bound again from where the machine has it; file systems of the namespace's own are made again, those
 * in memory with what is in them. A mount that is covered completely by another cannot be reached and is left out.
 */
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { namespaceOf } from "../../abi/namespaces.ts";
import { Refusal } from "../../lib/errors.ts";
import { parseMountInfo, type Mount } from "../../proc/mountinfo.ts";
import type { FreezeProcess, ObjectKind } from "../contract.ts";
import { packTree } from "./mount-contents.ts";
import { buildMounts } from "./mount-build.ts";
import { ownerSchema, type NamespaceHandle } from "./handle.ts";
import { orIfGone } from "../../lib/gone.ts";

export const mountSchema = v.strictObject({
  at: v.string(),
  from: v.union([
    /** A path of the machine. */
    v.strictObject({ bind: v.string() }),
    /** Another mount of this list, and a path below its file system's root. */
    v.strictObject({ same: v.number(), path: v.string() }),
    v.strictObject({
      type: v.string(),
      source: v.string(),
      options: v.string(),
      /** For proc: a process of the pid namespace that it shows. */
      process: v.optional(v.number()),
      /** The network or IPC namespace that it shows. */
      namespace: v.optional(v.string()),
      /** For tmpfs: what is in it, as tar(1) packs it. */
      contents: v.optional(v.string()),
    }),
  ]),
  options: v.array(v.string()),
  propagation: v.picklist(["private", "shared", "slave", "unbindable"]),
});
export type MountState = v.InferOutput<typeof mountSchema>;

const schema = v.strictObject({
  kind: v.literal("mount-namespace"),
  owner: ownerSchema,
  mounts: v.array(mountSchema),
});
type MountNamespaceState = v.InferOutput<typeof schema>;

export interface MountNamespaceHandle extends NamespaceHandle {
  /** Its root directory. */
  readonly root: number;
}

/** File systems that can be made again by their options, with the namespace that they show. */
const MAKEABLE: Readonly<Record<string, "net" | "ipc" | "pid" | undefined>> = {
  tmpfs: undefined,
  ramfs: undefined,
  devpts: undefined,
  overlay: undefined,
  proc: "pid",
  sysfs: "net",
  mqueue: "ipc",
};

export function freezeMounts(process: FreezeProcess): MountNamespaceState {
  const { pid, command } = process;
  const way = `/proc/${pid}/root`;
  if (readlinkSync(way) !== "/") {
    throw new Refusal(
      "MOUNT_NAMESPACE_ROOT",
      {
        what: `The mounts of process ${pid} (${command}) cannot be seen as a whole.`,
        why: "It is the first process of its mount namespace, and has changed its root (chroot(2)).",
        remedy: "Leave this process out.",
      },
      { pid, command, resource: "mount-namespace" },
    );
  }
  const ours = reachable(parseMountInfo(readFileSync("/proc/thread-self/mountinfo", "utf8")));
  const theirs = reachable(parseMountInfo(readFileSync(`/proc/${pid}/mountinfo`, "utf8")));
  const made = new Map<string, number>();
  const mounts = theirs.map((mount, index): MountState => {
    const first = made.get(mount.device);
    const path = machinePath(mount, ours, way);
    const from =
      path !== undefined
        ? { bind: path }
        : first !== undefined
          ? { same: first, path: mount.root }
          : freezeOwn(process, mount, way);
    if (path === undefined && first === undefined) made.set(mount.device, index);
    return { at: mount.mountPoint, from, options: [...mount.options], propagation: propagationOf(mount) };
  });
  return { kind: "mount-namespace", mounts };
}

export const mountNamespace: ObjectKind<MountNamespaceState, MountNamespaceHandle> = {
  name: "mount-namespace",
  schema,
  thaw: (state, context) => buildMounts(state.mounts, state.owner, context),
};

/** Parents first, without those that others cover. */
function reachable(mounts: readonly Mount[]): Mount[] {
  const ids = new Set(mounts.map(({ id }) => id));
  const found: Mount[] = [];
  const visit = (mount: Mount): void => {
    const children = mounts.filter(({ parent, id }) => parent === mount.id && id !== mount.id);
    const cover = children.find(({ mountPoint }) => mountPoint === mount.mountPoint);
    // What stands in a covered mount is covered too.
    if (cover) return visit(cover);
    found.push(mount);
    for (const child of children) {
      // Had the other been there before, the child would be mounted on the other.
      const later = children.some(({ mountPoint }) => child.mountPoint.startsWith(`${mountPoint}/`));
      if (!later) visit(child);
    }
  };
  for (const mount of mounts) if (!ids.has(mount.parent) || mount.parent === mount.id) visit(mount);
  return found;
}

/** Where the machine shows what a mount shows. */
function machinePath(mount: Mount, ours: readonly Mount[], way: string): string | undefined {
  const wanted = statSync(join(way, mount.mountPoint), { bigint: true });
  for (const { device, root, mountPoint } of ours) {
    if (device !== mount.device) continue;
    if (root !== "/" && mount.root !== root && !mount.root.startsWith(`${root}/`)) continue;
    const path = join(mountPoint, root === "/" ? mount.root : mount.root.slice(root.length));
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (found?.dev === wanted.dev && found.ino === wanted.ino) return path;
  }
  return undefined;
}

function freezeOwn(process: FreezeProcess, mount: Mount, way: string): MountState["from"] {
  const { pid, command, context } = process;
  if (!(mount.type in MAKEABLE) || mount.root !== "/") {
    throw new Refusal(
      "MOUNT",
      {
        what: `The mount namespace of process ${pid} (${command}) has a mount that cannot be made again.`,
        why: `${mount.mountPoint} shows ${mount.root} of a file system ${mount.type} (${mount.source}) that the machine does not show anywhere.`,
        remedy: "Mount the file system on the machine too, or unmount it there.",
      },
      { pid, command, path: mount.mountPoint, resource: "mount-namespace" },
    );
  }
  const options = mount.superOptions.filter((option) => option !== "rw" && option !== "ro").join(",");
  const own = { type: mount.type, source: mount.source, options };
  const shows = MAKEABLE[mount.type];
  if (shows === "pid") {
    const namespace = pidNamespaceOf(join(way, mount.mountPoint));
    const member = [...context.pids].find((id) => namespaceOf(id, "pid") === namespace);
    return { ...own, ...(member !== undefined && namespace !== namespaceOf("self", "pid") && { process: member }) };
  }
  if (shows !== undefined) {
    const namespace = namespaceOf(pid, shows);
    return { ...own, ...(namespace !== undefined && namespace !== namespaceOf("self", shows) && { namespace }) };
  }
  if (mount.type !== "tmpfs" && mount.type !== "ramfs") return own;
  const bytes = packTree(join(way, mount.mountPoint));
  return { ...own, contents: context.blob(`mount:${mount.device}`, { bytes }) };
}

function pidNamespaceOf(proc: string): string | undefined {
  return orIfGone(() => readlinkSync(join(proc, "1/ns/pid")), undefined);
}

function propagationOf({ propagation }: Mount): MountState["propagation"] {
  if (propagation.includes("unbindable")) return "unbindable";
  if (propagation.some((field) => field.startsWith("shared:"))) return "shared";
  return propagation.some((field) => field.startsWith("master:")) ? "slave" : "private";
}
