/**
 * Control groups that the set lives in, and those below them (cgroups(7)): their settings, for the case that they are
 * gone at the thaw. What is still there stays as it is; groups of systemd are systemd's to make.
 */
import { readdirOrEmpty } from "../../proc/read.ts";
import type { Pid, Task } from "../../lib/brand.ts";
import { livingThread, procPath } from "../../sys/task.ts";
import { Memo } from "../memo.ts";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { OWN_VIEW, type ReachedPath } from "../../sys/mount-view.ts";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "../../sys/files.ts";
import { makeFileSystem } from "../../sys/mount.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { cgroupFolder, parseCgroups, type CgroupPaths } from "../../proc/cgroup.ts";
import { parseMountInfo, type Mount } from "../../proc/mountinfo.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const group = v.strictObject({
  /** The controllers as /proc/PID/cgroup names them; "" for version 2. */
  hierarchy: v.string(),
  path: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** What the files in it say, by their names. */
  settings: v.record(v.string(), v.string()),
});
type Group = v.InferOutput<typeof group>;

const schema = v.strictObject({ kind: v.literal("cgroup-tree"), groups: v.array(group) });
export type CgroupTreeState = v.InferOutput<typeof schema>;

export const CGROUP_TREE = "cgroup-tree";

export interface CgroupTreeHandle {
  /** The folder of a group, or undefined where it is not to be had here. */
  folder(hierarchy: string, path: string): string | undefined;
}

/** Groups below those of the set that are looked at, in all. */
const MOST_GROUPS = 500;

/** Read once a freeze: the tree and every process ask. */
const pathsByContext = new Memo(() => new Map<string, CgroupPaths>());

/** The groups that a task is in; none when it has gone. One that has ended is in the root of each hierarchy of version 1. */
export function cgroupsOf(context: FreezeContext, task: Task): CgroupPaths {
  const known = context.memo(pathsByContext);
  const path = procPath(task, "cgroup");
  const paths = known.get(path) ?? parseCgroups(orIfGone(() => readFileSync(path, "utf8"), ""));
  known.set(path, paths);
  return paths;
}

/** The threads of a process that live, of which `first` is the first. */
export function threadsOf(pid: Pid, first: Task): Task[] {
  return readdirOrEmpty(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => tid !== pid || tid === first)
    .map(livingThread);
}

export function freezeCgroupTree(context: FreezeContext): string {
  return context.object(CGROUP_TREE, () => {
    const mounts = mountsFor(
      [...context.tasks.values()].flatMap((task) => Object.keys(cgroupsOf(context, task))),
      context,
    );
    const groups = new Map<string, Group>();
    const look = (hierarchy: string, path: string, below: boolean): void => {
      const key = `${hierarchy}:${path}`;
      const folder = path === "/" ? undefined : folderOf(mounts, hierarchy, path);
      if (folder === undefined || groups.has(key) || groups.size > MOST_GROUPS || !existsSync(folder)) return;
      look(hierarchy, dirname(path), false);
      groups.set(key, readGroup(hierarchy, path, folder));
      if (!below) return;
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (entry.isDirectory()) look(hierarchy, join(path, entry.name), true);
      }
    };
    const ours = parseCgroups(readFileSync("/proc/self/cgroup", "utf8"));
    for (const [pid, first] of context.tasks) {
      for (const task of threadsOf(pid, first)) {
        const paths = cgroupsOf(context, task);
        // What we live in ourselves is the machine's.
        for (const [hierarchy, path] of Object.entries(paths)) look(hierarchy, path, ours[hierarchy] !== path);
      }
    }
    return { kind: CGROUP_TREE, groups: [...groups.values()] } as CgroupTreeState;
  });
}

export const cgroupTree: ObjectKind<CgroupTreeState, CgroupTreeHandle, typeof CGROUP_TREE> = {
  name: CGROUP_TREE,
  schema,
  forUser: ofAnyUser,
  thaw(state, context) {
    const mounts = mountsFor(
      state.groups.map(({ hierarchy }) => hierarchy),
      context,
    );
    for (const one of state.groups) makeGroup(one, mounts, context);
    return {
      folder(hierarchy, path) {
        const folder = folderOf(mounts, hierarchy, path);
        return folder !== undefined && existsSync(folder) ? folder : undefined;
      },
    };
  },
};

/** Whether a path leads to one of the groups or to something in it. */
export function isInCgroups(path: string, { groups }: CgroupTreeState): boolean {
  const mounts = mountsHere();
  return groups.some((one) => {
    const folder = cgroupFolder(mounts, one.hierarchy, one.path);
    return folder !== undefined && (path === folder || path.startsWith(`${folder}/`));
  });
}

function mountsHere(): Mount[] {
  return parseMountInfo(readFileSync("/proc/thread-self/mountinfo", "utf8"));
}

/** Named hierarchies (name=…) may be mounted in a mount namespace of the set only: then we mount them for ourselves. */
function mountsFor(hierarchies: readonly string[], context: Pick<ThawContext, "keep">): readonly Mount[] {
  const mounts = mountsHere();
  for (const hierarchy of new Set(hierarchies)) {
    if (!hierarchy.startsWith("name=") || cgroupFolder(mounts, hierarchy, "/") !== undefined) continue;
    const fd = context.keep(makeFileSystem("cgroup", "none", ["none", hierarchy]));
    const mountPoint = `/proc/self/fd/${fd}`;
    const shown = { root: "/", mountPoint, type: "cgroup", superOptions: [hierarchy], source: "none" };
    mounts.push({ ...shown, id: 0, parent: 0, device: "", options: [], propagation: [] });
  }
  return mounts;
}

/** Files that do something when they are written, or tell what has happened. */
const NO_SETTINGS =
  /^(cgroup\.(procs|threads|kill|event_control|pressure)|tasks|devices\.(allow|deny)|.*\.(force_empty|reset_stats|reclaim|peak|pressure|pressure_level|failcnt|stat)|.*max_usage_in_bytes|.*\.usage_in_bytes|cpuacct\.usage|release_agent|.*\.reset)$/;
/** These are not written themselves. */
const READ_TOO = new Set(["devices.list"]);

/** Where our own mounts, or those that were made for it, show a group. */
function folderOf(mounts: readonly Mount[], hierarchy: string, path: string): ReachedPath | undefined {
  const folder = cgroupFolder(mounts, hierarchy, path);
  return folder === undefined ? undefined : OWN_VIEW.at(folder);
}

const above = (folder: ReachedPath): ReachedPath => OWN_VIEW.at(dirname(folder));
const fileIn = (folder: ReachedPath, name: string): ReachedPath => OWN_VIEW.at(join(folder, name));

function readGroup(hierarchy: string, path: string, folder: ReachedPath): Group {
  const { mode, uid, gid } = statSync(folder);
  const settings: Record<string, string> = {};
  for (const name of readdirSync(folder)) {
    const about = statSync(fileIn(folder, name), { throwIfNoEntry: false });
    const set = about?.isFile() && (about.mode & 0o600) === 0o600 && !NO_SETTINGS.test(name);
    if (!set && !READ_TOO.has(name)) continue;
    const value = readSetting(folder, name);
    if (value !== undefined) settings[name] = value;
  }
  return { hierarchy, path, mode: mode & 0o7777, uid, gid, settings };
}

/** Some files of some controllers answer with errors of their own (EINVAL, EOPNOTSUPP). */
function readSetting(folder: ReachedPath, name: string): string | undefined {
  try {
    return readFileSync(fileIn(folder, name), "utf8").trimEnd();
  } catch {
    return undefined;
  }
}

const SYSTEMD = /\.(slice|scope|service|mount|socket)(\/|$)/;

function makeGroup(state: Group, mounts: readonly Mount[], context: ThawContext): void {
  const { hierarchy, path, settings, mode, uid, gid } = state;
  const folder = folderOf(mounts, hierarchy, path);
  if (folder === undefined || existsSync(folder) || SYSTEMD.test(path) || !existsSync(above(folder))) return;
  mkdirSync(folder);
  context.undo(`control group ${path}`, () => removeGroup(folder));
  chownSync(folder, uid, gid);
  chmodSync(folder, mode);
  const failed = inOrder(settings).filter(([name, value]) => !writeSetting(folder, name, value));
  if (failed.length > 0) {
    context.note(`The control group ${path} could not get ${failed.map(([name]) => name).join(", ")} again.`);
  }
}

function removeGroup(folder: ReachedPath): void {
  // Node's rmdir looks for nothing else: the files in it are the kernel's.
  orIfGone(() => rmdirSync(folder), undefined);
}

/** What kind of group it is comes first, what its children may use last. */
function inOrder(settings: Readonly<Record<string, string>>): [string, string][] {
  const rank = (name: string): number => (name === "cgroup.type" ? 0 : name === "cgroup.subtree_control" ? 2 : 1);
  return Object.entries(settings).toSorted(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function writeSetting(folder: ReachedPath, name: string, value: string): boolean {
  const write = (file: string, text: string): void => writeFileSync(fileIn(folder, file), text);
  const now = readSetting(folder, name);
  if (now === value || now === undefined) return true;
  // Kinds that follow from other groups: "domain threaded", "domain invalid".
  if (name === "cgroup.type" && value !== "threaded") return true;
  try {
    if (name === "devices.list") {
      write("devices.deny", "a");
      for (const line of value.split("\n").filter(Boolean)) write("devices.allow", line);
    } else if (name === "cgroup.subtree_control") {
      write(
        name,
        value
          .split(" ")
          .filter(Boolean)
          .map((controller) => `+${controller}`)
          .join(" "),
      );
    } else for (const line of value.split("\n")) write(name, line);
    return true;
  } catch {
    return false;
  }
}
