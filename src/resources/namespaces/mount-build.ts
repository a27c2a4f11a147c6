/**
 * Building a mount namespace: each mount is made where we are, unattached, and put together with the others below a
 * folder of a copy of our namespace, whose root it then becomes. Unattached mounts can be carried into a namespace of
 * other owners.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, withText } from "../../abi/call.ts";
import {
  attachMount,
  changeMount,
  changeMountHere,
  cloneMount,
  makeFileSystem,
  mount,
  mountFlags,
  MS,
  openRoot,
  pivotTo,
  withinMounts,
  type Outside,
} from "../../abi/mount.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../contract.ts";
import { noteUnfinished } from "../unfinished.ts";
import type { FileSystemHandle } from "./file-system.ts";
import type { NamespaceHandle } from "./handle.ts";
import { MountGroups, type StandingMount } from "./mount-groups.ts";
import type { MountNamespaceHandle, MountNamespaceState, MountState } from "./mount.ts";

export function buildMounts(state: MountNamespaceState, context: ThawContext): MountNamespaceHandle {
  const { owner, mounts } = state;
  if (owner !== undefined) context.object(owner);
  const there = owner === undefined ? undefined : context.users.owned(owner, "mnt");
  const groups = new MountGroups(context, state.groups ?? {});
  const stage = join(tmpdir(), `kmonte-root-${randomUUID()}`);
  using _ = noteUnfinished({ kind: "folder", path: stage });
  mkdirSync(stage, { mode: 0o700 });
  try {
    return withinMounts(there, (outside, fd) => {
      // Nothing of ours may reach the machine.
      mount("none", "/", "", MS.REC | MS.SLAVE, "");
      const builder = new Builder(stage, outside, context);
      const standing = mounts.map((one): StandingMount => ({ fd: context.keep(builder.add(one)), state: one }));
      const readOnly: StandingMount[] = [];
      for (const one of standing.toReversed()) {
        const flags = mountFlags(one.state.options);
        const later = (flags & MS.RDONLY) !== 0 && statSync(`/proc/self/fd/${one.fd}`).isDirectory();
        if (later) readOnly.push(one);
        changeMount(one.fd, MS.REMOUNT | MS.BIND | (later ? flags & ~MS.RDONLY : flags));
      }
      const [root, ...others] = standing;
      const lonely = groups.join(others, false);
      pivotTo(stage);
      const rest = groups.join(root ? [root, ...lonely] : lonely, true);
      for (const one of rest) context.note(`The mount at ${one.state.at} follows no other any more.`);
      const own = there ?? context.keep(fd);
      // Behind all that files without a name, which may lie there, want done at the end.
      context.whenBuilt(() =>
        context.atResume(() =>
          withinMounts(own, () => {
            for (const one of readOnly) changeMountHere(one.fd, MS.REMOUNT | MS.BIND | mountFlags(one.state.options));
          }),
        ),
      );
      return {
        fd: own,
        root: context.keep(openRoot()),
        mounts: standing.map(({ fd: shown, state: { at } }) => ({ at, fd: shown })),
      };
    });
  } finally {
    rmdirSync(stage);
  }
}

class Builder {
  readonly #stage: string;
  readonly #outside: Outside;
  readonly #context: ThawContext;
  /** Where file systems that are made in place stand first. */
  readonly #inPlace = new Map<string, string>();

  constructor(stage: string, outside: Outside, context: ThawContext) {
    this.#stage = stage;
    this.#outside = outside;
    this.#context = context;
  }

  add(state: MountState): LocalFd {
    const target = join(this.#stage, state.at);
    const made = this.#make(state, target);
    attachMount(made, target);
    changeMount(made, MS.PRIVATE);
    return made;
  }

  #make({ from }: MountState, target: string): LocalFd {
    if ("bind" in from) return this.#outside(() => cloneMount(from.bind));
    if ("namespaceHere" in from) return this.#outside(() => cloneMount(`/proc/self/ns/${from.namespaceHere}`));
    if ("namespace" in from) {
      return this.#outside(() =>
        cloneMount(`/proc/self/fd/${this.#context.object<NamespaceHandle>(from.namespace).fd}`),
      );
    }
    const handle = this.#outside(() => this.#context.object<FileSystemHandle>(from.fileSystem));
    if (handle.type !== "overlay") return this.#outside(() => handle.clone(from.path));
    const first = this.#inPlace.get(from.fileSystem);
    if (first !== undefined) return cloneMount(join(first, from.path));
    this.#inPlace.set(from.fileSystem, target);
    return this.#asRoot(() => makeFileSystem(handle.type, handle.source, handle.options));
  }

  /** Runs `action` where paths are those of the namespace to be. */
  #asRoot<T>(action: () => T): T {
    const top = openRoot();
    this.#context.keep(top);
    withText(this.#stage, (path) => call("chroot", "Entering a root", path));
    try {
      return action();
    } finally {
      call("fchdir", "Leaving a root", top);
      withText(".", (path) => call("chroot", "Leaving a root", path));
    }
  }
}
