/** Where the paths of a process lead: into the mount namespace that it lives in (mount_namespaces(7)). */
import { closeSync } from "node:fs";
import { O } from "../../abi/fcntl.ts";
import { openSync, readlinkSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { readMountInfo, withinMounts } from "../../sys/mount.ts";
import { MountView, OWN_VIEW, type ProcPath } from "../../sys/mount-view.ts";
import { namespaceOf, openNamespace } from "../../sys/namespaces.ts";
import { call } from "../../sys/call.ts";
import { S_IF } from "../../abi/stat.ts";
import { mountIdOf, stat } from "../../sys/stat.ts";
import type { LocalFd, Pid, Task } from "../../lib/brand.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";
import { readdirOrEmpty } from "../../proc/read.ts";
import type { FreezeContext } from "../../resources/freeze-context.ts";
import { openNamespaceRoot } from "../../resources/mount/namespace.ts";
import { freezeDetachedMount } from "../../resources/mount/detached.ts";
import { openPath } from "../../resources/file/path-file.ts";

/** One that the set has open or stands in. */
interface Folder {
  readonly pid: Pid;
  readonly task: Task;
  readonly path: ProcPath;
}

export class MountViews {
  /** The processes of the set, and those of their threads that live elsewhere. */
  readonly #members: Map<Task, Pid>;
  readonly #views = new Map<string, MountView>();
  /** A way to the root of each mount namespace that is not ours. */
  readonly #ways = new Map<string, string>();
  /** The mounts of each mount namespace, by their ids; "" for ours. */
  readonly #mounts = new Map<string, ReadonlySet<number>>();
  #known: Map<number, Folder> | undefined;
  readonly #context: FreezeContext;

  constructor(context: FreezeContext) {
    this.#members = new Map([...context.tasks].map(([pid, task]) => [task, pid]));
    this.#context = context;
  }

  /** The mount namespace that a process or thread of the set lives in, when it is not ours. */
  add(task: Task): string | undefined {
    if (!this.#members.has(task)) this.#members.set(task, task);
    return this.nameOf(task);
  }

  /** Where the paths of a mount namespace of the set lead, or ours for undefined. */
  viewOf(namespace: string | undefined): MountView {
    if (namespace === undefined) return OWN_VIEW;
    const known = this.#views.get(namespace) ?? new MountView(this.#wayTo(namespace));
    this.#views.set(namespace, known);
    return known;
  }

  /**
   * The mount namespace that a mount belongs to, which a process uses: not always its own, as what it has open may come
   * from where it was before (setns(2), unshare(2)) or from another process.
   */
  nameAt(task: Task, mount: number): string | undefined {
    const own = this.nameOf(task);
    if (this.#mountsOf(own).has(mount)) return own;
    const others = [undefined, ...new Set([...this.#members.keys()].map((member) => this.nameOf(member)))];
    const found = others.findIndex((name) => this.#mountsOf(name).has(mount));
    return found < 0 ? (this.#detached(mount) ?? own) : others[found];
  }

  #mountsOf(namespace: string | undefined): ReadonlySet<number> {
    const known = this.#mounts.get(namespace ?? "");
    if (known) return known;
    const read = (): ReadonlySet<number> => new Set(parseMountInfo(readMountInfo(proc)).map(({ id }) => id));
    const proc = openSync("/proc", O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC) as LocalFd;
    const there = namespace === undefined ? undefined : openNamespace(this.#memberOf(namespace), "mnt");
    try {
      const mounts = there === undefined ? read() : withinMounts(there, read);
      this.#mounts.set(namespace ?? "", mounts);
      return mounts;
    } finally {
      closeSync(proc);
      if (there !== undefined) closeSync(there);
    }
  }

  /** A mount that is attached nowhere any more is a place of its own, if somebody has a folder of it: that leads to its root. */
  #detached(mount: number): string | undefined {
    const name = `detached:${mount}`;
    if (this.#ways.has(name)) return name;
    const found = this.#folders().get(mount);
    if (!found) return undefined;
    const root = openPath(found.path, O.O_PATH | O.O_DIRECTORY);
    for (;;) {
      const [here, above] = [stat(`/proc/self/fd/${root}`), stat(`/proc/self/fd/${root}/..`)];
      if (here.inode === above.inode) break;
      const up = openPath(`/proc/self/fd/${root}/..`, O.O_PATH | O.O_DIRECTORY);
      call("dup3", "Going up in a mount", up, root, O.O_CLOEXEC);
      closeSync(up);
    }
    this.#ways.set(name, `/proc/self/fd/${root}`);
    this.#context.keep(root);
    this.#context.object(name, () => freezeDetachedMount(this.#context, found, root));
    return name;
  }

  /** A folder of each mount that the set has open or stands in. */
  #folders(): ReadonlyMap<number, Folder> {
    if (this.#known) return this.#known;
    this.#known = new Map();
    for (const [task, pid] of this.#members) {
      const descriptors = readdirOrEmpty(procPath(task, "fd")).map((fd) => `fd/${fd}`);
      const ways = ["cwd", "root", ...descriptors].map((name) => procPath(task, name));
      for (const path of ways) {
        if (orIfGone(() => stat(path).type, undefined) !== S_IF.S_IFDIR) continue;
        const mount = mountIdOf(path);
        if (!this.#known.has(mount)) this.#known.set(mount, { pid, task, path });
      }
    }
    return this.#known;
  }

  #memberOf(namespace: string): Task {
    return [...this.#members.keys()].find((task) => namespaceOf(task, "mnt") === namespace) as Task;
  }

  /** The mount namespace of a process, when it is not ours. */
  nameOf(task: Task): string | undefined {
    const namespace = namespaceOf(task, "mnt");
    return namespace === namespaceOf("self", "mnt") ? undefined : namespace;
  }

  /** Through a process that has not changed its root: magic links show paths from the root of the namespace. */
  #wayTo(namespace: string): string {
    const known = this.#ways.get(namespace);
    if (known !== undefined) return known;
    const member = [...this.#members.keys()].find(
      (other) => namespaceOf(other, "mnt") === namespace && rootOf(other) === "/",
    );
    const way = member === undefined ? `/proc/self/fd/${this.#openRootOf(namespace)}` : procPath(member, "root");
    this.#ways.set(namespace, way);
    return way;
  }

  /** Where all its processes have changed their root. */
  #openRootOf(namespace: string): LocalFd {
    const there = openNamespace(this.#memberOf(namespace), "mnt");
    try {
      return this.#context.keep(openNamespaceRoot(there));
    } finally {
      closeSync(there);
    }
  }
}

function rootOf(task: Task): string | undefined {
  return orIfGone(() => readlinkSync(procPath(task, "root")), undefined);
}
