/**
 * Namespaces as a thread meets them: namespaces(7), setns(2), unshare(2), include/uapi/linux/nsfs.h. The thread that
 * enters one comes back to where it was; other threads of ours are never moved.
 */
import { closeSync, fstatSync, openSync, readlinkSync } from "node:fs";
import { CLONE } from "../abi/clone.ts";
import { AT_FDCWD, DIRECTORY_PATH } from "../abi/fcntl.ts";
import {
  CLONE_OF,
  NAMESPACE,
  NS_GET_NSTYPE,
  NS_GET_OWNER_UID,
  NS_GET_PARENT,
  NS_GET_USERNS,
  SIOCGSKNS,
} from "../abi/namespaces.ts";
import type { LocalFd } from "../lib/brand.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { attempt, call, withStruct, withText } from "./call.ts";
import { taskOf } from "./living.ts";
import { Defect } from "../errors/wrong-input.ts";

export type NamespaceType = keyof typeof NAMESPACE;

/** `uts:[4026531838]`, or undefined where the kernel has none of the kind or the task has none any more. */
export function namespaceOf(pid: number | "self" | "thread-self", name: string): string | undefined {
  return orIfGone(() => readlinkSync(`/proc/${typeof pid === "number" ? taskOf(pid) : pid}/ns/${name}`), undefined);
}

export function openNamespace(pid: number | "thread-self", type: NamespaceType): LocalFd {
  return openSync(`/proc/${typeof pid === "number" ? taskOf(pid) : pid}/ns/${type}`, "r") as LocalFd;
}

/** The name of a namespace that is open, as {@link namespaceOf} writes it; the link shows a path where it is mounted. */
export function nameOfNamespace(fd: LocalFd): string {
  const flag = call("ioctl", "Asking for the type of a namespace", fd, NS_GET_NSTYPE);
  const type = Object.entries(CLONE_OF).find(([, clone]) => clone === flag)?.[0];
  return `${type}:[${fstatSync(fd).ino}]`;
}

/** The user namespace that owns a namespace; undefined when it lies above ours. The caller closes it. */
export function ownerOf(namespace: LocalFd): LocalFd | undefined {
  const fd = attempt("ioctl", namespace, NS_GET_USERNS, 0);
  return fd < 0 ? undefined : (fd as LocalFd);
}

/** The namespace that a pid or user namespace was made in; undefined when it lies above ours. The caller closes it. */
export function parentOf(namespace: LocalFd): LocalFd | undefined {
  const fd = attempt("ioctl", namespace, NS_GET_PARENT, 0);
  return fd < 0 ? undefined : (fd as LocalFd);
}

/** The user id of whoever made a user namespace. */
export function ownerIdOf(user: LocalFd): number {
  return withStruct(4, (bytes, address) => {
    call("ioctl", "Asking for the owner of a user namespace", user, NS_GET_OWNER_UID, address);
    return bytes.readUInt32LE(0);
  });
}

/** The network namespace that {@link within} has entered. */
let network: LocalFd | undefined;
/** Its name, once somebody has asked. */
let networkName: string | undefined;

/** The network namespace that this thread is in, as {@link namespaceOf} writes it; quick when asked again and again. */
export function networkHere(): string | undefined {
  networkName ??= namespaceOf("thread-self", "net");
  return networkName;
}

/** Runs `action` with this thread inside another namespace. Not for pid, user and mount namespaces. */
export function within<T>(type: "cgroup" | "ipc" | "net" | "uts", there: LocalFd, action: () => T): T {
  const here = openNamespace("thread-self", type);
  const before = network;
  try {
    call("setns", `Entering a ${type} namespace`, there, NAMESPACE[type]);
    if (type === "net") [network, networkName] = [there, undefined];
    try {
      return action();
    } finally {
      network = before;
      networkName = undefined;
      call("setns", `Leaving a ${type} namespace`, here, NAMESPACE[type]);
    }
  } finally {
    closeSync(here);
  }
}

/** Runs `action` in the network namespace that our process was started in. */
export function atHome<T>(action: () => T): T {
  if (network === undefined) return action();
  // The first thread never goes anywhere.
  const home = openNamespace(process.pid, "net");
  try {
    return within("net", home, action);
  } finally {
    closeSync(home);
  }
}

/** What stands before the paths of programs; empty for those that see the files that we see. */
let root = "";
/** Whether this thread has that root for its own. */
let inside = false;

/** Runs `action` while {@link placed} leads into another mount namespace: `there` is a way to its root. */
export function inMounts<T>(there: string, action: () => T): T {
  const before = root;
  if (inside && there !== root) throw new Defect("another mount namespace is wanted while its root is left");
  root = there;
  try {
    return action();
  } finally {
    root = before;
  }
}

/** How we reach a path that a program of a mount namespace of its own uses. */
export function placed(path: string): string {
  return root === "" || inside || !path.startsWith("/") ? path : root + path;
}

/** The same as a descriptor of a folder and a path below it, for openat2(2), which follows no link of /proc. */
export function placedAt(path: string): { readonly folder: number; readonly path: string } {
  const folder = inside ? undefined : /^\/proc\/self\/fd\/(\d+)$/.exec(root)?.[1];
  if (folder === undefined || !path.startsWith("/")) return { folder: AT_FDCWD, path };
  return { folder: Number(folder), path: `.${path}` };
}

/** For what is done later: it will happen in the network and mount namespace of now, whose descriptors must stay open. */
export function later<A extends unknown[], T>(action: (...args: A) => T): (...args: A) => T {
  const [net, mounts] = [network, root];
  return (...args) => {
    const act = (): T => inMounts(mounts, () => action(...args));
    return net === undefined ? atHome(act) : within("net", net, act);
  };
}

/** Runs `action` with paths that begin at the root of the namespace of {@link inMounts}, as chroot(2) has it. */
export function inRoot<T>(action: () => T): T {
  if (root === "" || inside) return action();
  const [top, folder] = ["/", "."].map((path) => openSync(path, DIRECTORY_PATH));
  call("unshare", "Taking a root of our own", CLONE.FS);
  const outer = ourRoot;
  ourRoot = top;
  try {
    changeRoot(root);
    inside = true;
    withText("/", (address) => call("chdir", "Entering a root", address));
    return action();
  } finally {
    inside = false;
    ourRoot = outer;
    call("fchdir", "Leaving a root", top as number);
    changeRoot(".");
    call("fchdir", "Going back", folder as number);
    for (const fd of [top, folder]) closeSync(fd as number);
  }
}

/** Where we were before {@link inRoot}. */
let ourRoot: number | undefined;

function changeRoot(path: string): void {
  withText(path, (address) => call("chroot", "Changing the root", address));
}

/** Runs `action` with our own root again, within {@link inRoot}: our own /proc is there alone. */
export function outOfRoot<T>(action: () => T): T {
  if (!inside || ourRoot === undefined) return action();
  const [theirs, folder] = ["/", "."].map((path) => openSync(path, DIRECTORY_PATH));
  try {
    call("fchdir", "Leaving a root", ourRoot);
    changeRoot(".");
    inside = false;
    return action();
  } finally {
    call("fchdir", "Entering a root", theirs as number);
    changeRoot(".");
    inside = true;
    call("fchdir", "Going back", folder as number);
    for (const fd of [theirs, folder]) closeSync(fd as number);
  }
}

/** Makes a new namespace and returns its descriptor. */
export function makeNamespace(type: "ipc" | "net" | "uts"): LocalFd {
  const here = openNamespace("thread-self", type);
  try {
    call("unshare", `Making a ${type} namespace`, NAMESPACE[type]);
    try {
      return openNamespace("thread-self", type);
    } finally {
      call("setns", `Leaving a ${type} namespace`, here, NAMESPACE[type]);
    }
  } finally {
    closeSync(here);
  }
}

/** The network namespace of a socket, as {@link namespaceOf} writes it. */
export function socketNamespace(socket: LocalFd): string | undefined {
  const fd = openSocketNamespace(socket);
  if (fd === undefined) return undefined;
  try {
    return `net:[${fstatSync(fd).ino}]`;
  } finally {
    closeSync(fd);
  }
}

/** A descriptor of it; undefined for what is no socket. */
export function openSocketNamespace(socket: LocalFd): LocalFd | undefined {
  const fd = attempt("ioctl", socket, SIOCGSKNS, 0);
  return fd < 0 ? undefined : (fd as LocalFd);
}
