/**
 * Propagation between mounts (mount_namespaces(7)): peer groups and their slaves, within the set's namespaces and to the
 * machine's. All mounts are made private; when they stand, each joins the groups that it was in.
 */
import { Memo } from "../memo.ts";
import { MS } from "../../abi/mount.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { changeMount, changeMountHere, joinMountGroup } from "../../sys/mount.ts";
import { O } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../thaw-context.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { ofThisBoot } from "../volatile/file-systems.ts";
import { openPath } from "../file/path-file.ts";
import type { MountState } from "./namespace.ts";

/** A mount that stands, and what it wants to be. */
export interface StandingMount {
  readonly fd: LocalFd;
  readonly state: MountState;
}

/** The members of each group, by its number in the image, over all namespaces of the set. */
const known = new Memo(() => new Map<number, LocalFd[]>());

export class MountGroups {
  readonly #members: Map<number, LocalFd[]>;
  readonly #outside: ReadonlyMap<number, readonly LocalFd[]>;

  /** `outside`: paths of the machine for groups that it has members of. */
  constructor(context: ThawContext, outside: Readonly<Record<string, readonly string[]>>) {
    this.#members = context.memo(known);
    // The machine's own mounts: where we are going there will be copies of them, which go away again.
    const open = (path: string): LocalFd[] =>
      orIfGone(() => [context.keep(openPath(OWN_VIEW.at(ofThisBoot(path)), O.O_PATH))], []);
    this.#outside = new Map(Object.entries(outside).map(([group, paths]) => [Number(group), paths.flatMap(open)]));
  }

  /** Those that show most come first: others can join only who shows as much. Returns whom no group takes. */
  join(mounts: readonly StandingMount[], here: boolean): StandingMount[] {
    const change = here ? changeMountHere : changeMount;
    let waiting = mounts.toSorted((a, b) => a.state.root.length - b.state.root.length);
    for (let before = Infinity; waiting.length < before;) {
      before = waiting.length;
      waiting = waiting.filter((mount) => !this.#place(mount, change));
    }
    return waiting;
  }

  #place({ fd, state }: StandingMount, change: (fd: LocalFd, flags: number) => void): boolean {
    const { shared, master, unbindable } = state;
    if (unbindable) change(fd, MS.UNBINDABLE);
    if (shared !== undefined && this.#joinAny(shared, fd)) return this.#note(shared, fd);
    if (master !== undefined) {
      if (!this.#joinAny(master, fd)) return false;
      change(fd, MS.SLAVE);
    }
    if (shared === undefined) return true;
    change(fd, MS.SHARED);
    return this.#note(shared, fd);
  }

  #joinAny(group: number, fd: LocalFd): boolean {
    if ((this.#members.get(group) ?? []).some((member) => joinMountGroup(member, fd))) return true;
    return (this.#outside.get(group) ?? []).some((outside) => joinMountGroup(outside, fd));
  }

  #note(group: number, fd: LocalFd): true {
    this.#members.set(group, [...(this.#members.get(group) ?? []), fd]);
    return true;
  }
}
