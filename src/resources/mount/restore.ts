/**
 * Building a mount namespace: each mount is made where we are, unattached, and put together with the others below a
 * folder of a copy of our namespace, whose root it then becomes. Unattached mounts can be carried into a namespace of
 * other owners.
 */
import { randomUUID } from "node:crypto";
import { closeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { existsSync, mkdirSync, rmdirSync, statSync, statfsSync } from "../../sys/files.ts";
import { call, withText } from "../../sys/call.ts";
import { MS, mountFlags } from "../../abi/mount.ts";
import {
  type Outside,
  attachMount,
  changeMount,
  changeMountHere,
  cloneMount,
  cloneMountOf,
  makeFileSystem,
  mount,
  openRoot,
  pivotTo,
  withinMounts,
} from "../../sys/mount.ts";
import { CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC, NSFS_MAGIC } from "../../abi/stat.ts";
import { ofThisBoot } from "../volatile/file-systems.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../thaw-context.ts";
import { type Place } from "../file/reopen.ts";
import { findToMount } from "../file/create-in-directory.ts";
import { noteUnfinished } from "../undo-notes.ts";
import type { FileSystemHandle } from "./file-system.ts";
import type { RemovedHandle } from "./removed-source.ts";
import type { NamespaceHandle } from "../namespace/handle.ts";
import { MountGroups, type StandingMount } from "./peer-groups.ts";
import { thawIdMap } from "./idmapped.ts";
import type { MountNamespaceHandle, MountNamespaceState, MountState } from "./namespace.ts";

export function buildMounts(state: MountNamespaceState, context: ThawContext): MountNamespaceHandle {
  const { owner, mounts } = state;
  if (owner !== undefined) context.object(owner);
  const there = owner === undefined ? undefined : context.userNamespaces.owned(owner, "mnt");
  const groups = new MountGroups(context, state.peerGroups ?? {});
  const stage = OWN_VIEW.at(join(tmpdir(), `kmonte-root-${randomUUID()}`));
  using _ = noteUnfinished({ kind: "folder", path: stage });
  mkdirSync(stage, { mode: 0o700 });
  try {
    return withinMounts(there, (outside, fd) => {
      // Nothing of ours may reach the machine.
      mount("none", "/", "", MS.REC | MS.SLAVE, "");
      const builder = new Builder(stage, outside, context);
      const standing = mounts.flatMap((one): StandingMount[] => {
        const made = builder.add(one);
        return made === undefined ? [] : [{ fd: context.keep(made), state: one }];
      });
      if (builder.leftOut.length > 0)
        context.note(
          `The machine does not mount ${builder.leftOut.join(", ")} any more: it is not there for the processes either.`,
        );
      const readOnly: StandingMount[] = [];
      for (const one of standing.toReversed()) {
        const flags = mountFlags(one.state.options);
        const later = (flags & MS.RDONLY) !== 0 && statSync(`/proc/self/fd/${one.fd}`).isDirectory();
        if (later) readOnly.push(one);
        changeMount(one.fd, MS.REMOUNT | MS.BIND | (later ? flags & ~MS.RDONLY : flags));
      }
      const [root] = standing;
      // A root directory cannot be changed for one whose mount is shared (pivot_root(2)), and shows more than its peers.
      const isLate = (one: StandingMount): boolean =>
        one === root || (one.state.shared !== undefined && one.state.shared === root?.state.shared);
      const lonely = groups.join(
        standing.filter((one) => !isLate(one)),
        false,
      );
      pivotTo(stage);
      const rest = groups.join([...standing.filter(isLate), ...lonely], true);
      for (const one of rest) context.note(`The mount at ${one.state.mountPoint} follows no other any more.`);
      const own = there ?? context.keep(fd);
      context.during("seal", () =>
        withinMounts(own, () => {
          for (const one of readOnly) changeMountHere(one.fd, MS.REMOUNT | MS.BIND | mountFlags(one.state.options));
        }),
      );
      return {
        fd: own,
        root: context.keep(openRoot()),
        mounts: standing.map(({ fd: shown, state: { mountPoint: at } }) => ({ at, fd: shown })),
      };
    });
  } finally {
    rmdirSync(stage);
  }
}

/** A namespace that was mounted to keep it (ip-netns(8)) leaves an empty file behind. */
function isStillThere({ source: from, root }: MountState): boolean {
  if (!("bind" in from)) return false;
  const there = OWN_VIEW.at(from.bind);
  return existsSync(there) && (!/^\w+:\[/.test(root) || statfsSync(there).type === NSFS_MAGIC);
}

/**
 * Services are shown their own control groups, or files of them (ProtectControlGroups= in systemd.exec(5); containers),
 * which systemd makes when it starts them: later than this. It takes one that is there.
 */
function makeControlGroup(context: ThawContext, path: string): void {
  if (existsSync(OWN_VIEW.at(path))) return;
  const missing: string[] = [];
  let at = dirname(path);
  for (; !existsSync(OWN_VIEW.at(at)); at = dirname(at)) missing.unshift(at);
  if (!CONTROL_GROUPS.has(statfsSync(OWN_VIEW.at(at)).type)) return;
  for (const group of [...missing, path].map((one) => OWN_VIEW.at(one))) {
    // The kernel makes the files in it.
    if (existsSync(group)) continue;
    mkdirSync(group);
    context.undo(`control group ${group}`, () => rmdirSync(group));
  }
}

const CONTROL_GROUPS = new Set([CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC]);

class Builder {
  readonly #stage: string;
  readonly #outside: Outside;
  readonly #context: ThawContext;
  /** Mounts of the machine's that it has no more. */
  readonly leftOut: string[] = [];
  /** Where file systems that are made in place stand first. */
  readonly #inPlace = new Map<string, string>();

  constructor(stage: string, outside: Outside, context: ThawContext) {
    this.#stage = stage;
    this.#outside = outside;
    this.#context = context;
  }

  /** Undefined for a mount of the machine's that the machine has no more. */
  add(state: MountState): LocalFd | undefined {
    const target = join(this.#stage, state.mountPoint);
    // It may have stood on another that is left out.
    if (state.machineMount && !(this.#outside(() => isStillThere(state)) && existsSync(OWN_VIEW.at(target)))) {
      this.leftOut.push(state.mountPoint);
      return undefined;
    }
    const made = this.#make(state, target);
    const { idMap } = state;
    if (idMap !== undefined) this.#outside(() => thawIdMap(made, idMap, this.#context));
    attachMount(made, target);
    changeMount(made, MS.PRIVATE);
    return made;
  }

  #make({ source: from }: MountState, target: string): LocalFd {
    if ("bind" in from)
      return this.#outside(() => this.#bind({ path: ofThisBoot(from.bind), identity: from.identity }));
    if ("removed" in from) return this.#outside(() => this.#context.object<RemovedHandle>(from.removed).clone());
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

  /** What of the machine is shown, through the descriptor that was looked at. */
  #bind(place: Place): LocalFd {
    makeControlGroup(this.#context, place.path);
    const found = findToMount(this.#context, place);
    try {
      return cloneMountOf(found);
    } finally {
      closeSync(found);
    }
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
