/** Where the paths of a process lead: into the mount namespace that it lives in (mount_namespaces(7)). */
import { readlinkSync } from "node:fs";
import { taskOf } from "../abi/living.ts";
import { inMounts, namespaceOf } from "../abi/namespaces.ts";
import { orIfGone } from "../lib/gone.ts";

export class Places {
  readonly #pids: ReadonlySet<number>;
  /** A way to the root of each mount namespace that is not ours. */
  readonly #ways = new Map<string, string>();
  /** The namespace that is looked at now. */
  #now: string | undefined;

  constructor(pids: ReadonlySet<number>) {
    this.#pids = pids;
  }

  /** Runs `action` with paths as the process means them. */
  of<T>(pid: number, action: () => T): T {
    const before = this.#now;
    const namespace = this.nameOf(pid);
    this.#now = namespace;
    try {
      return inMounts(namespace === undefined ? "" : this.#wayTo(namespace, pid), action);
    } finally {
      this.#now = before;
    }
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
  #wayTo(namespace: string, pid: number): string {
    const known = this.#ways.get(namespace);
    if (known !== undefined) return known;
    const member = [...this.#pids].find((other) => namespaceOf(other, "mnt") === namespace && rootOf(other) === "/");
    const way = `/proc/${taskOf(member ?? pid)}/root`;
    this.#ways.set(namespace, way);
    return way;
  }
}

function rootOf(pid: number): string | undefined {
  return orIfGone(() => readlinkSync(`/proc/${taskOf(pid)}/root`), undefined);
}
