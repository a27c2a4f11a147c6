/** mount(2), mount_namespaces(7), fsopen(2) (include/uapi/linux/mount.h), and mount namespaces of a thread. */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { CLONE } from "../abi/clone.ts";
import { ERRNO } from "../abi/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, DIRECTORY_PATH, O } from "../abi/fcntl.ts";
import {
  AT_RECURSIVE,
  FSCONFIG,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
  MNT_DETACH,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_SIZE,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_SET_GROUP,
  MOVE_MOUNT_T_EMPTY_PATH,
  MS,
  OPEN_TREE_CLONE,
} from "../abi/mount.ts";
import type { LocalFd } from "../lib/brand.ts";
import { attempt, call, SyscallError, withStruct, withText } from "./call.ts";
import { openNamespace } from "./namespaces.ts";

export function mount(source: string, target: string, type: string, flags: number, data: string): void {
  withText(source, (from) =>
    withText(target, (to) =>
      withText(type, (kind) =>
        withText(data, (options) =>
          call("mount", `Mounting ${type || source} on ${target}`, from, to, kind, flags, options),
        ),
      ),
    ),
  );
}

/** Attaches a mount that fsmount(2) has made. */
export function attachMount(fd: LocalFd, target: string): void {
  withText("", (empty) =>
    withText(target, (to) =>
      call("move_mount", `Mounting on ${target}`, fd, empty, AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH),
    ),
  );
}

/** Makes the mount at `path` the root of the namespace and lets go of everything that was mounted before. */
export function pivotTo(path: string): void {
  withText(path, (there) => call("chdir", "Entering the new root", there));
  withText(".", (here) => {
    call("pivot_root", "Changing the root", here, here);
    call("umount2", "Leaving the old root", here, MNT_DETACH);
  });
}

/** A copy of one mount, without those below it or with them, attached nowhere (open_tree(2)). */
export function cloneMount(path: string, recursive = false): LocalFd {
  const about = `Copying the mount at ${path}`;
  const flags = OPEN_TREE_CLONE | O.O_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  return withText(path, (from) => call("open_tree", about, AT_FDCWD, from, flags)) as LocalFd;
}

/** The same for the mount that a descriptor lies on, whatever covers it. */
export function cloneMountOf(fd: LocalFd): LocalFd {
  const flags = OPEN_TREE_CLONE | O.O_CLOEXEC | AT_EMPTY_PATH;
  return withText("", (empty) => call("open_tree", "Copying a mount", fd, empty, flags)) as LocalFd;
}

/** How long the end of a hierarchy that has the same name may take, in milliseconds. */
const END_PATIENCE_MS = 2000;

/**
 * Makes a file system and mounts it nowhere yet (fsopen(2), fsmount(2)). `options` as mount(8) writes them. A hierarchy
 * of control groups of version 1 whose last mount has just gone is waited for: the kernel sleeps 10 ms and begins the
 * call anew, which then fails with EBUSY for a context that has been used already.
 */
export function makeFileSystem(type: string, source: string, options: readonly string[]): LocalFd {
  const about = `Making a file system ${type}`;
  for (const end = Date.now() + END_PATIENCE_MS; ;) {
    const context = withText(type, (name) => call("fsopen", about, name, FSOPEN_CLOEXEC));
    try {
      configure(context, about, source, options);
      const created = attempt("fsconfig", context, FSCONFIG.CMD_CREATE, 0, 0, 0);
      if (created === -ERRNO.EBUSY && type === "cgroup" && Date.now() < end) continue;
      if (created < 0) throw new SyscallError("fsconfig", created, about);
      return call("fsmount", about, context, FSMOUNT_CLOEXEC, 0) as LocalFd;
    } finally {
      closeSync(context);
    }
  }
}

function configure(context: number, about: string, source: string, options: readonly string[]): void {
  const set = (key: string, value: string | undefined): void => {
    withText(key, (name) =>
      value === undefined
        ? call("fsconfig", `${about} (${key})`, context, FSCONFIG.SET_FLAG, name, 0, 0)
        : withText(value, (to) =>
            call("fsconfig", `${about} (${key}=${value})`, context, FSCONFIG.SET_STRING, name, to, 0),
          ),
    );
  };
  if (source !== "") set("source", source);
  for (const option of options) {
    const [key = "", ...value] = option.split("=");
    set(key, option.includes("=") ? value.join("=") : undefined);
  }
}

/** Runs `action` with this thread in another mount namespace, at its root; undefined makes a new copy of ours. */
export function withinMounts<T>(there: LocalFd | undefined, action: (outside: Outside, fd: LocalFd) => T): T {
  const home = openNamespace("thread-self", "mnt");
  const top = openSync("/", DIRECTORY_PATH);
  const folder = openSync(".", DIRECTORY_PATH);
  try {
    if (there === undefined) call("unshare", "Making a mount namespace", CLONE.NEWNS);
    else {
      // Only who shares root and folder with nobody can go.
      call("unshare", "Entering a mount namespace", CLONE.FS);
      call("setns", "Entering a mount namespace", there, CLONE.NEWNS);
    }
    try {
      const fd = there ?? openNamespace("thread-self", "mnt");
      const leave: Outside = (outside) => {
        call("setns", "Leaving a mount namespace", home, CLONE.NEWNS);
        try {
          return outside();
        } finally {
          call("setns", "Entering a mount namespace", fd, CLONE.NEWNS);
        }
      };
      return action(leave, fd);
    } finally {
      call("setns", "Leaving a mount namespace", home, CLONE.NEWNS);
      call("fchdir", "Leaving a mount namespace", top);
      withText(".", (here) => call("chroot", "Leaving a mount namespace", here));
      call("fchdir", "Leaving a mount namespace", folder);
    }
  } finally {
    for (const fd of [home, top, folder]) closeSync(fd);
  }
}

/** Leaves another mount namespace for the time of `action`. */
export type Outside = <T>(action: () => T) => T;

/** The root directory of the namespace that the thread is in. */
export function openRoot(): LocalFd {
  return openSync("/", DIRECTORY_PATH) as LocalFd;
}

/** Flags of mount(2) for a mount that a descriptor leads to, whatever covers it. */
export function changeMount(fd: LocalFd, flags: number, data = ""): void {
  mount("none", `/proc/self/fd/${fd}`, "", flags, data);
}

/** The same where there is no /proc: for a directory, or the propagation of anything else (mount_setattr(2), Linux 5.12). */
export function changeMountHere(fd: LocalFd, flags: number): void {
  const propagation = flags & (MS.SHARED | MS.SLAVE | MS.PRIVATE | MS.UNBINDABLE);
  if (propagation === flags && !fstatSync(fd).isDirectory()) {
    withText("", (empty) =>
      withStruct(MOUNT_ATTR_SIZE, (attributes, at) => {
        attributes.writeBigUInt64LE(BigInt(propagation), 16);
        call("mount_setattr", "Changing the propagation of a mount", fd, empty, AT_EMPTY_PATH, at, MOUNT_ATTR_SIZE);
      }),
    );
    return;
  }
  call("fchdir", "Entering a mount", fd);
  mount("none", ".", "", flags, "");
}

/** Maps owners of files on a mount that is attached nowhere, as a user namespace does (MOUNT_ATTR_IDMAP, Linux 5.12). */
export function setMountIds(fd: LocalFd, user: LocalFd): void {
  withText("", (empty) =>
    withStruct(MOUNT_ATTR_SIZE, (attributes, at) => {
      attributes.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
      attributes.writeBigUInt64LE(BigInt(user), 24);
      call("mount_setattr", "Mapping the owners of a mount", fd, empty, AT_EMPTY_PATH, at, MOUNT_ATTR_SIZE);
    }),
  );
}

/** Takes a mount away with all that stands on it, as soon as nobody uses it any more. */
export function detachMount(path: string): void {
  withText(path, (there) => call("umount2", `Unmounting ${path}`, there, MNT_DETACH));
}

/** Puts a private mount into the groups of another that shows as much or more (MOVE_MOUNT_SET_GROUP); false if it cannot. */
export function joinMountGroup(member: LocalFd, fd: LocalFd): boolean {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH | MOVE_MOUNT_SET_GROUP;
  return withText("", (empty) => attempt("move_mount", member, empty, fd, empty, flags)) >= 0;
}

/** mountinfo of the thread, wherever it is: `proc` is our /proc. */
export function readMountInfo(proc: LocalFd): string {
  const fd = withText("thread-self/mountinfo", (path) =>
    call("openat", "Reading mountinfo", proc, path, O.O_CLOEXEC, 0),
  );
  try {
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}
