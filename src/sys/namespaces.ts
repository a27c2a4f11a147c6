/**
 * Namespaces as a thread meets them: namespaces(7), setns(2), unshare(2), include/uapi/linux/nsfs.h. The thread that
 * enters one comes back to where it was; other threads of ours are never moved.
 */
import { procPath, type Ourselves } from "./task.ts";
import { closeSync, fstatSync, openSync, readlinkSync } from "node:fs";
import {
  CLONE_OF,
  NAMESPACE,
  NS_GET_NSTYPE,
  NS_GET_OWNER_UID,
  NS_GET_PARENT,
  NS_GET_USERNS,
  SIOCGSKNS,
} from "../abi/namespaces.ts";
import type { LocalFd, Task } from "../lib/brand.ts";
import { orIfGone } from "../lib/no-such-file.ts";
import { attempt, call, withStruct } from "./call.ts";

export type NamespaceType = keyof typeof NAMESPACE;

/** `uts:[4026531838]`, or undefined where the kernel has none of the kind or the task has none any more. */
export function namespaceOf(task: Task | Ourselves, name: string): string | undefined {
  return orIfGone(() => readlinkSync(procPath(task, `ns/${name}`)), undefined);
}

export function openNamespace(task: Task | Ourselves, type: NamespaceType): LocalFd {
  return openSync(procPath(task, `ns/${type}`), "r") as LocalFd;
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
  const home = openNamespace("self", "net");
  try {
    return within("net", home, action);
  } finally {
    closeSync(home);
  }
}

/** For what is done later: it will happen in the network namespace of now, whose descriptor must stay open. */
export function later<A extends unknown[], T>(action: (...args: A) => T): (...args: A) => T {
  const net = network;
  return (...args) => {
    const act = (): T => action(...args);
    return net === undefined ? atHome(act) : within("net", net, act);
  };
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
