/** Where the paths of a process lead: into the mount namespace that it lives in (mount_namespaces(7)). */
import { closeSync, openSync, readlinkSync } from "node:fs";
import { O } from "../abi/fcntl.ts";
import { taskOf } from "../abi/living.ts";
import { readMountInfo, withinMounts } from "../abi/mount.ts";
import { inMounts, namespaceOf, openNamespace } from "../abi/namespaces.ts";
import type { LocalFd } from "../lib/brand.ts";
import { orIfGone } from "../lib/gone.ts";
import { parseMountInfo } from "../proc/mountinfo.ts";

export class Places {
  /** The processes of the set, and those of their threads that live elsewhere. */
  readonly #members: Set<number>;
  /** A way to the root of each mount namespace that is not ours. */
  readonly #ways = new Map<string, string>();
  /** The mounts of each mount namespace, by their ids; "" for ours. */
  readonly #mounts = new Map<string, ReadonlySet<number>>();
  /** The namespace that is looked at now. */
  #now: string | undefined;

  constructor(pids: ReadonlySet<number>) {
    this.#members = new Set(pids);
  }

  /** Runs `action` with paths as the process means them. */
  of<T>(pid: number, action: () => T): T {
    this.#members.add(pid);
    return this.within(this.nameOf(pid), action);
  }

  /** Runs `action` with paths of a mount namespace of the set, or of ours for undefined. */
  within<T>(namespace: string | undefined, action: () => T): T {
    const before = this.#now;
    this.#now = namespace;
    try {
      return inMounts(namespace === undefined ? "" : this.#wayTo(namespace), action);
    } finally {
      this.#now = before;
    }
  }

  /**
   * The mount namespace that a mount belongs to, which a process uses: not always its own, as what it has open may come
   * from where it was before (setns(2), unshare(2)) or from another process.
   */
  nameAt(pid: number, mount: number): string | undefined {
    const own = this.nameOf(pid);
    if (this.#mountsOf(own).has(mount)) return own;
    const others = [undefined, ...new Set([...this.#members].map((member) => this.nameOf(member)))];
    const found = others.findIndex((name) => this.#mountsOf(name).has(mount));
    // A mount that is attached nowhere any more: its paths lead nowhere either.
    return found < 0 ? own : others[found];
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

  #memberOf(namespace: string): number {
    return [...this.#members].find((pid) => namespaceOf(pid, "mnt") === namespace) as number;
  }

  /** The mount namespace of the paths that are looked at; undefined for ours. */
  get now(): string | undefined {
    return this.#now;
  }

  /** The mount namespace of a process, when it is not ours. */
  nameOf(pid: number): string | undefined {
    const namespace = namespaceOf(pid, "mnt");
    return namespace === namespaceOf("self", "mnt") ? undefined : namespace;
  }

  /** Through a process that has not changed its root: magic links show paths from the root of the namespace. */
  #wayTo(namespace: string): string {
    const known = this.#ways.get(namespace);
    if (known !== undefined) return known;
    const member = [...this.#members].find((other) => namespaceOf(other, "mnt") === namespace && rootOf(other) === "/");
    const way = `/proc/${taskOf(member ?? this.#memberOf(namespace))}/root`;
    this.#ways.set(namespace, way);
    return way;
  }
}

function rootOf(pid: number): string | undefined {
  return orIfGone(() => readlinkSync(`/proc/${taskOf(pid)}/root`), undefined);
}
