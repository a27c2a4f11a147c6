/**
 * Where the paths of a program lead: into the mount namespace that it lives in (mount_namespaces(7)), which kmonte looks
 * into from outside. A path of a program means nothing to a system call of ours before its view has been asked.
 */
import { closeSync, openSync } from "node:fs";
import { CLONE } from "../abi/clone.ts";
import { AT_FDCWD, DIRECTORY_PATH } from "../abi/fcntl.ts";
import { Defect } from "../errors/wrong-input.ts";
import { call, withText } from "./call.ts";

declare const reached: unique symbol;

/** A path by which this thread reaches something, whoever's it is. */
export type ReachedPath = string & { readonly [reached]: true };

/** A path of kmonte's own /proc, its magic links among them. */
export type ProcPath = `/proc/${string}`;

/** A path that this thread gives to the kernel. Those of /proc and /sys are written down as they are. */
export type OwnPath = ReachedPath | ProcPath | "/proc" | `/sys/${string}` | "/dev/null" | "/dev/net/tun";

/** The view whose root this thread has for its own (chroot(2)), and the root that it had before. */
let entered: { readonly view: MountView; readonly outer: number } | undefined;

export class MountView {
  /** What stands before the paths of its programs; empty for the view that kmonte itself has. */
  readonly #way: string;

  /** `way` leads to the root of the namespace as long as the view is used. */
  constructor(way: string) {
    this.#way = way;
  }

  /** How this thread reaches a path of a program with this view. */
  at(path: string): ReachedPath {
    // Where a relative path begins is the same in whatever root.
    return (!path.startsWith("/") || this.#isEntered() ? path : this.#way + path) as ReachedPath;
  }

  /** Lends the same as a descriptor of a folder and a path below it, for openat2(2), which follows no link of /proc. */
  below<T>(path: string, use: (folder: number, path: string) => T): T {
    if (this.#way === "" || !path.startsWith("/") || this.#isEntered()) return use(AT_FDCWD, path);
    const known = /^\/proc\/self\/fd\/(\d+)$/.exec(this.#way)?.[1];
    if (known !== undefined) return use(Number(known), `.${path}`);
    const root = openSync(this.#way, DIRECTORY_PATH);
    try {
      return use(root, `.${path}`);
    } finally {
      closeSync(root);
    }
  }

  /** The view of a program that has made a folder its root (chroot(2)). */
  from(root: string): MountView {
    return new MountView(this.at(root));
  }

  #isEntered(): boolean {
    if (entered === undefined) return false;
    if (entered.view.#way !== this.#way) throw new Defect("another view is wanted while its root is left");
    return true;
  }

  /** Runs `action` while paths that this thread gives to the kernel begin at the root of the view, as chroot(2) has it. */
  inRoot<T>(action: () => T): T {
    if (this.#way === "" || this.#isEntered()) return action();
    const [outer, folder] = ["/", "."].map((path) => openSync(path, DIRECTORY_PATH)) as [number, number];
    call("unshare", "Taking a root of our own", CLONE.FS);
    try {
      changeRoot(this.#way);
      entered = { view: this, outer };
      withText("/", (address) => call("chdir", "Entering a root", address));
      return action();
    } finally {
      entered = undefined;
      call("fchdir", "Leaving a root", outer);
      changeRoot(".");
      call("fchdir", "Going back", folder);
      closeSync(outer);
      closeSync(folder);
    }
  }
}

/** The view that kmonte itself has: of the machine, as a rule. */
export const OWN_VIEW = new MountView("");

function changeRoot(path: string): void {
  withText(path, (address) => call("chroot", "Changing the root", address));
}

/** Runs `action` with our own root again, within {@link MountView.inRoot}: our own /proc is there alone. */
export function outOfRoot<T>(action: () => T): T {
  const inside = entered;
  if (inside === undefined) return action();
  const [theirs, folder] = ["/", "."].map((path) => openSync(path, DIRECTORY_PATH)) as [number, number];
  try {
    call("fchdir", "Leaving a root", inside.outer);
    changeRoot(".");
    entered = undefined;
    return action();
  } finally {
    call("fchdir", "Entering a root", theirs);
    changeRoot(".");
    entered = inside;
    call("fchdir", "Going back", folder);
    closeSync(theirs);
    closeSync(folder);
  }
}
