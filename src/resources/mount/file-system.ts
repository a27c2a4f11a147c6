/**
 * File systems of the set's own, of which its mounts show one part or another: they are made again once, whatever the
 * number of mounts and mount namespaces. Those in memory come with what is in them; disks keep their own contents.
 */
import { IN_MEMORY_INODE } from "../volatile/file-systems.ts";
import { livingThread, procPath } from "../../sys/task.ts";
import { Memo } from "../memo.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { MS } from "../../abi/mount.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "../../sys/files.ts";
import { attachMount, changeMount, cloneMount, makeFileSystem, mount, withinMounts } from "../../sys/mount.ts";
import { namespaceOf, within } from "../../sys/namespaces.ts";
import { formatDevice } from "../../abi/stat.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { leasedFiles } from "../../proc/locks.ts";
import type { Mount } from "../../proc/mountinfo.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { fileSystemNeeds } from "./kernel-needs.ts";
import type { Holder, NamespaceHandle } from "../namespace/handle.ts";
import { makeSocket, namesIn, packTree, socketSchema, unpackTree, type Entry } from "./contents.ts";

const schema = v.strictObject({
  kind: v.literal("file-system"),
  type: v.string(),
  source: v.string(),
  options: v.array(v.string()),
  readOnly: v.optional(v.literal(true)),
  /** For proc: a process of the pid namespace that it shows. */
  process: v.optional(v.number()),
  /** The network or IPC namespace that it shows. */
  namespace: v.optional(v.string()),
  /** For tmpfs: what is in it, as tar(1) packs it, from the folder `base` on: more of it is not to be seen. */
  contents: v.optional(v.string()),
  base: v.string(),
  /** Socket files, which tar(1) leaves out: nobody may listen at them any more. */
  sockets: v.optional(v.array(socketSchema)),
});
type FileSystemState = v.InferOutput<typeof schema>;

export interface FileSystemHandle {
  readonly type: string;
  readonly options: readonly string[];
  readonly source: string;
  /** A mount that shows a folder or file of it, attached nowhere. */
  clone(path: string): LocalFd;
  /** Runs `action` where a folder of it has the path that it gets. */
  within<T>(folder: string, action: (path: string) => T): T;
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
  binfmt_misc: undefined,
  debugfs: undefined,
  tracefs: undefined,
  securityfs: undefined,
  configfs: undefined,
  bpf: undefined,
  cgroup2: undefined,
  cgroup: undefined,
};
const IN_MEMORY = new Set(["tmpfs", "ramfs"]);
/** Options of the superblock that say what its mounts say. */
const NOT_ASKED_FOR = new Set(["rw", "ro", "seclabel"]);

/** Whether the kernel makes all that is in it, the same in each: the whole can be made of which only parts are shown. */
export function isKernels(type: string): boolean {
  return type === "sysfs" || type === "cgroup" || type === "cgroup2";
}

/** `open` gives a descriptor of the mount's root without what is mounted below it. */
export function freezeFileSystem(process: Holder, mounted: Mount, open: () => LocalFd): FileSystemState {
  const { pid, task, command, context } = process;
  const { type, source, superOptions, root, device } = mounted;
  const own: FileSystemState = {
    kind: "file-system",
    type,
    source,
    options: superOptions.filter((option) => !NOT_ASKED_FOR.has(option)),
    ...(superOptions.includes("ro") && { readOnly: true }),
    base: root,
  };
  if (isDisk(mounted)) return own;
  if (!(type in MAKEABLE)) throw refuseType(process, mounted);
  const shows = MAKEABLE[type];
  if (shows === "pid") {
    const namespace = pidNamespaceOf(open());
    const member = [...context.tasks].find(([, one]) => namespaceOf(one, "pid") === namespace)?.[0];
    return { ...own, ...(member !== undefined && namespace !== namespaceOf("self", "pid") && { process: member }) };
  }
  if (shows !== undefined) {
    const namespace = namespaceOf(task, shows);
    return { ...own, ...(namespace !== undefined && namespace !== namespaceOf("self", shows) && { namespace }) };
  }
  if (!IN_MEMORY.has(type)) return own;
  const fd = open();
  if (!statSync(`/proc/self/fd/${fd}`).isDirectory())
    throw failures.MOUNT_OF_FILE({
      pid,
      command,
      mountPoint: mounted.mountPoint,
      root: mounted.root,
      type: mounted.type,
    });
  return { ...own, ...contentsOf(process, fd, { device, mountPoint: mounted.mountPoint }) };
}

/** One of which nothing is shown but what was removed from it. */
export function emptyFileSystem(holder: Holder, mounted: Mount): FileSystemState {
  const { type, source, superOptions } = mounted;
  if (!IN_MEMORY.has(type)) throw refuseType(holder, mounted);
  const options = superOptions.filter((option) => !NOT_ASKED_FOR.has(option));
  return { kind: "file-system", type, source, options, base: "/" };
}

/** A tmpfs that only an open folder leads to. */
export function freezeMemory(
  holder: Holder,
  root: LocalFd,
  { id, options }: { readonly id: string; readonly options: readonly string[] },
): FileSystemState {
  const shown = { device: id.slice(id.indexOf(":") + 1), mountPoint: "/" };
  const contents = contentsOf(holder, root, shown);
  return { kind: "file-system", type: "tmpfs", source: "tmpfs", options: [...options], base: "/", ...contents };
}

function contentsOf(
  holder: Holder,
  fd: LocalFd,
  shown: Pick<Mount, "device" | "mountPoint">,
): Pick<FileSystemState, "contents" | "sockets"> {
  const folder = procPath(livingThread(globalThis.process.pid), `fd/${fd}/.`);
  const names = namesIn(folder);
  refuseLeases(holder, shown, names);
  const bytes = packTree(folder, names);
  const sockets = names.flatMap(({ socket }) => (socket ? [socket] : []));
  return {
    contents: holder.context.blob(`mount:${shown.device}`, { bytes }),
    ...(sockets.length > 0 && { sockets }),
  };
}

/** Opening such a file tells its holder to give the lease up (fcntl(2), F_SETLEASE). */
function refuseLeases(
  { pid, command }: Holder,
  { mountPoint, device }: Pick<Mount, "device" | "mountPoint">,
  names: readonly Entry[],
): void {
  const leased = leasedFiles(readFileSync("/proc/locks", "utf8"), device);
  const found = leased.size > 0 && names.find(({ inode }) => leased.has(inode));
  if (!found) return;
  throw failures.MOUNT_LEASE({ pid, command, path: join(mountPoint, found.path) });
}

/** A block device that the file system lies on, and that is there whether it is mounted or not. */
function isDisk({ device, source }: Mount): boolean {
  if (device.startsWith("0:") || !source.startsWith("/dev/")) return false;
  const node = statSync(OWN_VIEW.at(source), { bigint: true, throwIfNoEntry: false });
  return node?.isBlockDevice() === true && formatDevice(node.rdev) === device;
}

function pidNamespaceOf(proc: LocalFd): string | undefined {
  return orIfGone(() => readlinkSync(`/proc/self/fd/${proc}/1/ns/pid`), undefined);
}

function refuseType({ pid, command }: Holder, mounted: Mount): Refusal {
  return failures.MOUNT({
    pid,
    command,
    mountPoint: mounted.mountPoint,
    root: mounted.root,
    type: mounted.type,
    source: mounted.source,
  });
}

/** What stands in them comes from the image, or from the thaw itself. */
const FILLED_FROM_IMAGE: ReadonlySet<string> = new Set(["tmpfs", "ramfs", "mqueue", "devpts", "hugetlbfs"]);

export const fileSystem: ObjectKind<FileSystemState, FileSystemHandle, "file-system"> = {
  name: "file-system",
  differs: [{ what: IN_MEMORY_INODE, met: ({ contents }) => contents !== undefined }],
  hasPath: false,
  schema,
  needs: ({ type }) => fileSystemNeeds(type),
  thaw(state, context) {
    const { type, options, source } = state;
    // Its options are paths of the namespace that it is mounted in: made there.
    if (type === "overlay") return { type, options, source, clone: refuseClone, within: refuseClone };
    const made = makeOne(state, context);
    if (FILLED_FROM_IMAGE.has(type)) context.noteMade(fstat(made).device);
    const staging = context.memo(stagings);
    const pool = keepInStaging(context, made);
    if (state.contents !== undefined) {
      const base = procPath(livingThread(process.pid), `fd/${made}${state.base}`);
      mkdirSync(base, { recursive: true });
      unpackTree(context.blob(state.contents), base);
      for (const socket of state.sockets ?? []) makeSocket(base, socket);
    }
    if (state.readOnly) context.during("seal", () => changeReadOnly(staging.fd, made));
    return {
      type,
      options,
      source,
      clone: (path) => cloneFromStaging(context, join(pool, path)),
      within: (folder, action) => withinMounts(staging.fd, () => action(join(pool, folder))),
    };
  },
};

function refuseClone(): never {
  throw new InconsistentImage("an overlay is shown from where it is mounted first");
}

function changeReadOnly(staging: LocalFd, made: LocalFd): void {
  withinMounts(staging, () => changeMount(made, MS.REMOUNT | MS.RDONLY));
}

function makeOne({ type, source, options, process: pid, namespace }: FileSystemState, context: ThawContext): LocalFd {
  if (pid !== undefined) return context.keep(context.userNamespaces.proc(pid, source, options));
  const make = (): LocalFd => context.keep(makeFileSystem(type, source, options));
  if (namespace === undefined) return make();
  const { fd } = context.object<NamespaceHandle>(namespace);
  return within(type === "sysfs" ? "net" : "ipc", fd, make);
}

/** A mount namespace of ours, with room for what is made: only what is mounted somewhere can be shown elsewhere. */
interface StagingNamespace {
  readonly fd: LocalFd;
  made: number;
}

/** Mounts something in the staging namespace, so that it can be shown elsewhere; returns where it stands there. */
export function keepInStaging(context: ThawContext, made: LocalFd): string {
  const staging = context.memo(stagings);
  const pool = join(tmpdir(), String((staging.made += 1)));
  const folder = statSync(`/proc/self/fd/${made}`).isDirectory();
  withinMounts(staging.fd, () => {
    if (folder) mkdirSync(OWN_VIEW.at(pool));
    else writeFileSync(OWN_VIEW.at(pool), "");
    attachMount(made, pool);
  });
  return pool;
}

/** A copy of what stands in the staging namespace, attached nowhere. */
export function cloneFromStaging(context: ThawContext, pool: string): LocalFd {
  return withinMounts(context.memo(stagings).fd, () => cloneMount(pool));
}

const stagings = new Memo((context: ThawContext): StagingNamespace => {
  const fd = withinMounts(undefined, (_, made) => {
    mount("none", "/", "", MS.REC | MS.PRIVATE, "");
    mount("kmonte", tmpdir(), "tmpfs", 0, "");
    return made;
  });
  return { fd: context.keep(fd), made: 0 };
});
