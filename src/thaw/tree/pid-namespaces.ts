/**
 * Clones in pid namespaces (pid_namespaces(7)). A process is cloned where its parent's pid_for_children says, never
 * moves, and gets its id in each level above; the first one of a namespace is its init.
 */
import { livingThread } from "../../sys/task.ts";
import { closeSync } from "node:fs";
import { attempt } from "../../sys/call.ts";
import { CLONE } from "../../abi/clone.ts";
import { openNamespace } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { FdChannel } from "../fill/fd-channel.ts";

type Lend = (local: LocalFd, use: (fd: number) => void) => void;

/** A pid namespace as the image has it. */
interface Wanted {
  readonly namespace: string | undefined;
  /** The user namespace that it belongs to; undefined for kmonte's. */
  readonly owner: string | undefined;
}

/**
 * Kmonte's own pid namespace. Its name would not do: names are numbers that the kernel gives again, and after a boot
 * it may have the one that a namespace of the set had.
 */
const HOME = "home";

export class PidNamespaces {
  /** The frozen namespace of each process that was cloned here, by its outer id. */
  readonly #own = new Map<number, string>();
  readonly #aims = new Map<number, string>();
  /** The outer id of the first process of each namespace. */
  readonly #inits = new Map<string, number>();
  readonly #channel: FdChannel;

  constructor(channel: FdChannel) {
    this.#channel = channel;
  }

  /**
   * Has the next children of `from` cloned into a namespace. Returns flags for clone3(2) that the first one needs: a pid
   * namespace that belongs to a new user namespace is made in one go with it.
   */
  aim(from: BuildScope, { namespace, owner }: Wanted, lend: Lend = this.#lendBy(from)): number {
    const own = this.#own.get(from.pid) ?? HOME;
    const wanted = namespace ?? HOME;
    const now = this.#aims.get(from.pid) ?? own;
    if (now === wanted) return 0;
    const init = this.#inits.get(wanted);
    if (wanted === own) enter(from, from.pid, lend);
    else if (init !== undefined) enter(from, init, lend);
    else {
      if (now !== own) enter(from, from.pid, lend);
      if (owner !== from.user) {
        this.#aims.set(from.pid, own);
        return CLONE.NEWUSER | CLONE.NEWPID;
      }
      from.call("unshare", "Making a pid namespace", CLONE.NEWPID);
    }
    this.#aims.set(from.pid, wanted);
    return 0;
  }

  /** The outer id of the first process of a namespace. */
  initOf(namespace: string): number | undefined {
    return this.#inits.get(namespace);
  }

  created(pid: number, inside: FrozenProcess["pidNamespace"]): void {
    if (!inside) return;
    this.#own.set(pid, inside.namespace);
    if (inside.pids.at(-1) === 1) this.#inits.set(inside.namespace, pid);
  }

  /** Through the way to us that every new process is cloned with. */
  #lendBy(scope: BuildScope): Lend {
    return (local, use) => {
      const fd = this.#channel.fetch(scope, local, "Lending a namespace");
      use(fd);
      scope.call("close", "Taking a namespace back", fd);
    };
  }
}

/** The innermost pid namespace of a process, and whose it is. */
export function pidNamespaceOf(inside: FrozenProcess["pidNamespace"]): Wanted {
  const owner = inside?.owners?.at(-1);
  return { namespace: inside?.namespace, owner: owner === "" ? undefined : owner };
}

function enter(scope: BuildScope, member: number, lend: Lend): void {
  const local = openNamespace(livingThread(member), "pid");
  try {
    lend(local, (fd) => scope.call("setns", "Choosing the pid namespace of children", fd, CLONE.NEWPID));
  } finally {
    closeSync(local);
  }
}

/** The ids for clone3(2): innermost first, ours last. */
export function idsForClone(outer: number, inside: readonly number[] = []): number[] {
  return [...inside.toReversed(), outer];
}

/** A list of ids that leads out of the innermost namespaces: a group or session of the outside. */
export function visible(ids: readonly number[] | undefined): number[] {
  return (ids ?? []).filter((id) => id !== 0);
}

/** Puts a process into a group: by itself, or, when it cannot see the group, by its parent. */
export function joinGroup(
  scope: BuildScope,
  group: number,
  by: BuildScope | undefined,
  seen: (id: number) => number,
  state: FrozenProcess,
): boolean {
  // Inherited, as a rule.
  if (attempt("getpgid", state.pid) === state.pgid) return true;
  if (group !== 0) return scope.attempt("getpgid", 0) === group || scope.attempt("setpgid", 0, group) === 0;
  return by !== undefined && by.attempt("setpgid", seen(state.pid), seen(state.pgid)) === 0;
}
