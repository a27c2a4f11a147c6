/**
 * Making user namespaces, and the namespaces that belong to them, by blank processes that go there for the moment:
 * kmonte itself cannot, as setns(2) takes no process of several threads into a user namespace.
 */
import { livingThread, openTask, procPath } from "../../sys/task.ts";
import { closeSync, writeFileSync } from "node:fs";
import { call } from "../../sys/call.ts";
import { CLONE } from "../../abi/clone.ts";
import { O } from "../../abi/fcntl.ts";
import { FSCONFIG } from "../../abi/mount.ts";
import { NAMESPACE } from "../../abi/namespaces.ts";
import { type NamespaceType, openNamespace } from "../../sys/namespaces.ts";
import { PR } from "../../abi/prctl.ts";
import { WAIT } from "../../abi/wait.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { stateOfKind } from "../../image/kinds.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import type { UserNamespaces } from "../../resources/thaw-context.ts";
import {
  formatMap,
  idInside,
  userNamespace,
  type UserNamespaceHandle,
  type UserState,
} from "../../resources/namespace/user.ts";
import { openPath } from "../../resources/file/path-file.ts";
import { SECBIT_KEEP_CAPS_AND_NO_FIXUP, type Credentials } from "../../resources/security/credentials.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { COUNTER } from "./set-tid.ts";
import { cloneHelper, endProcess } from "./clone-process.ts";
import type { TreeBuilder } from "./tree-builder.ts";
import { OneProcessor } from "./one-processor.ts";

/** Stays as it is, for setresuid(2). */
const SAME = -1;

export class ThawedUserNamespaces implements UserNamespaces {
  readonly #builder: TreeBuilder;
  #oneProcessor: OneProcessor | undefined;

  constructor(builder: TreeBuilder) {
    this.#builder = builder;
  }

  /** Made when it is needed first, and there until the thaw has ended. */
  get oneProcessor(): OneProcessor {
    return (this.#oneProcessor ??= this.#builder.context.own(new OneProcessor(this.#builder.helperIds)));
  }

  stateOf(id: string): UserState {
    const state = stateOfKind(userNamespace, this.#builder.context.stateOf(id));
    if (!state) throw new InconsistentImage(`object ${id} is no user namespace`);
    return state;
  }

  /** Whether a user namespace is another one or lies below it; undefined stands for kmonte's. */
  isWithin(inner: string | undefined, outer: string | undefined): boolean {
    if (inner === outer || outer === undefined) return true;
    return inner !== undefined && this.isWithin(this.stateOf(inner).parent, outer);
  }

  make(state: UserState): LocalFd {
    const { context } = this.#builder;
    return this.#helper(({ scope, enter }) => {
      if (state.parent !== undefined) enter(state.parent);
      this.#asOwner(scope, state, () => scope.call("unshare", "Making a user namespace", CLONE.NEWUSER));
      this.#writeMaps(scope.pid, state);
      return context.keep(openNamespace(livingThread(scope.pid), "user"));
    });
  }

  /** Clones a process with a new user namespace of its own. */
  create(from: BuildScope, user: string | undefined, rights: Credentials | undefined, clone: () => void): void {
    if (user === undefined || this.stateOf(user).parent !== from.user || this.#builder.context.has(user)) {
      throw failures.PID_NAMESPACE_OWNER({ user });
    }
    this.#asOwner(from, this.stateOf(user), clone, rights);
  }

  /** A user namespace that a process was cloned with. */
  adopt(id: string, pid: number): void {
    const { context } = this.#builder;
    const state = this.stateOf(id);
    this.#writeMaps(pid, state);
    const handle: UserNamespaceHandle = { fd: context.keep(openNamespace(livingThread(pid), "user")), state };
    context.adopt(id, handle);
  }

  owned(user: string | undefined, type: NamespaceType, before?: (pid: number) => void): LocalFd {
    const { context } = this.#builder;
    return this.#helper(({ scope, enter }) => {
      before?.(scope.pid);
      if (user !== undefined) enter(user);
      scope.call("unshare", `Making a ${type} namespace`, NAMESPACE[type]);
      return context.keep(openNamespace(livingThread(scope.pid), type));
    });
  }

  /** Sets the counter of ids of a pid namespace: its init does, if it lives where the namespace belongs. */
  count({ namespace }: NonNullable<FrozenProcess["pidNamespace"]>, last: number): void {
    const { pidNamespaces, built } = this.#builder;
    const init = built.get(pidNamespaces.initOf(namespace) ?? 0);
    if (!init) return;
    const file = openPath(COUNTER, O.O_WRONLY);
    try {
      init.lend(file, (fd) => {
        const text = Buffer.from(String(last));
        init.scope.call("write", "Setting the counter of ids", fd, init.scope.put(text), text.length);
      });
    } finally {
      closeSync(file);
    }
  }

  /** proc(5) shows the pid namespace of whoever makes the file system, so a helper is cloned there for that. */
  proc(pid: number, source: string, options: readonly string[]): LocalFd {
    const { built } = this.#builder;
    const inside = built.get(pid)?.state.pidNamespace;
    if (!inside) throw new InconsistentImage(`no process ${pid} for a proc file system`);
    return this.#helper(({ scope }) => {
      const about = "Making a file system proc";
      const file = scope.call("fsopen", about, scope.put(Buffer.from("proc\0")), 0);
      for (const option of [`source=${source}`, ...options]) {
        const [key = "", value] = option.split("=");
        const name = scope.put(Buffer.from(`${key}\0`));
        const text = value === undefined ? 0 : scope.put(Buffer.from(`${value}\0`), 256);
        const command = value === undefined ? FSCONFIG.SET_FLAG : FSCONFIG.SET_STRING;
        scope.call("fsconfig", `${about} (${option})`, file, command, name, text, 0);
      }
      scope.call("fsconfig", about, file, FSCONFIG.CMD_CREATE, 0, 0, 0);
      return fetchFrom(scope.pid, scope.call("fsmount", about, file, 0, 0));
    }, inside);
  }

  /**
   * Runs `action` while a process has the ids of whoever made a user namespace, and, for a child that is cloned into it,
   * the groups and other ids of that: they may have no name inside, and then can only be inherited.
   */
  #asOwner<T>(scope: BuildScope, state: UserState, action: () => T, child?: Credentials): T {
    const above = state.parent === undefined ? undefined : this.stateOf(state.parent);
    if (!above && state.owner === 0 && !child) return action();
    const about = "Acting as the owner of a user namespace";
    scope.call("prctl", about, PR.SET_SECUREBITS, SECBIT_KEEP_CAPS_AND_NO_FIXUP);
    if (above) {
      // The kernel wants both ids to have a name in the namespace above.
      const [group] = above.gidMap;
      if (child && above.setgroups === "allow") {
        setGroups(
          scope,
          child.groups.map((id) => idInside(above.gidMap, id) ?? id),
          about,
        );
      }
      const [real = SAME, , saved = SAME] = (child?.gids ?? []).map((id) => idInside(above.gidMap, id) ?? SAME);
      if (group) scope.call("setresgid", about, real, group[0], saved);
      scope.call("setresuid", about, SAME, idInside(above.uidMap, state.owner) ?? SAME, SAME);
      return action();
    }
    const { uids, gids, groups } = child ?? { uids: [0, 0, 0], gids: [0, 0, 0], groups: [] };
    setGroups(scope, groups, about);
    scope.call("setresgid", about, ...gids.slice(0, 3));
    scope.call("setresuid", about, uids[0] ?? 0, state.owner, uids[2] ?? 0);
    try {
      return action();
    } finally {
      scope.call("setresuid", about, 0, 0, 0);
      scope.call("setresgid", about, 0, 0, 0);
      setGroups(scope, [], about);
      scope.call("prctl", about, PR.SET_SECUREBITS, 0);
    }
  }

  /** Whoever writes them must live in the namespace above, and names ids as they are called there. */
  #writeMaps(pid: number, state: UserState): void {
    const above = state.parent === undefined ? undefined : this.stateOf(state.parent);
    const files: [name: string, text: string][] = [
      ...(state.setgroups === "deny" ? [["setgroups", "deny"] as [string, string]] : []),
      ["gid_map", formatMap(state.gidMap, above?.gidMap)],
      ["uid_map", formatMap(state.uidMap, above?.uidMap)],
    ];
    const wanted = files.filter(([, text]) => text !== "");
    if (state.parent === undefined) {
      for (const [name, text] of wanted) writeFileSync(procPath(livingThread(pid), name), text);
      return;
    }
    const { parent } = state;
    const folder = openPath(`/proc/${pid}`, O.O_PATH | O.O_DIRECTORY);
    try {
      this.#helper(({ scope, enter }) => {
        const there = this.#builder.channel.fetch(scope, folder, "Mapping ids");
        enter(parent);
        for (const [name, text] of wanted) {
          const about = `Writing ${name} of a user namespace`;
          const fd = scope.call("openat", about, there, scope.put(Buffer.from(`${name}\0`)), O.O_WRONLY, 0);
          const bytes = Buffer.from(text);
          scope.call("write", about, fd, scope.put(bytes), bytes.length);
          scope.call("close", about, fd);
        }
      });
    } finally {
      closeSync(folder);
    }
  }

  /** A process that is there for the time of `use` only. */
  #helper<T>(
    use: (helper: { scope: BuildScope; enter(user: string): void }) => T,
    where?: FrozenProcess["pidNamespace"],
  ): T {
    const { root, context, channel } = this.#builder;
    const scope = cloneHelper(this.#builder, root, where);
    try {
      return use({
        scope,
        enter(user) {
          const fd = channel.fetch(scope, context.object<UserNamespaceHandle>(user).fd, "Entering a user namespace");
          scope.call("setns", "Entering a user namespace", fd, CLONE.NEWUSER);
          scope.user = user;
        },
      });
    } finally {
      endProcess(scope.pid);
      root.attempt("wait4", scope.pid, 0, WAIT.WALL, 0);
    }
  }
}

function setGroups(scope: BuildScope, groups: readonly number[], about: string): void {
  const bytes = Buffer.alloc(Math.max(groups.length, 1) * 4);
  groups.forEach((group, i) => bytes.writeUInt32LE(group, i * 4));
  scope.call("setgroups", about, groups.length, scope.put(bytes));
}

/** Brings a descriptor of a process of ours here. */
function fetchFrom(pid: number, fd: number): LocalFd {
  const pidfd = openTask(livingThread(pid));
  try {
    return call("pidfd_getfd", `Fetching descriptor ${fd} of process ${pid}`, pidfd, fd, 0) as LocalFd;
  } finally {
    closeSync(pidfd);
  }
}
