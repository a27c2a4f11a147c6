/** mount(2), mount_namespaces(7), fsopen(2) (include/uapi/linux/mount.h), and mount namespaces of a thread. */
import { closeSync, openSync } from "node:fs";
import type { LocalFd } from "../lib/brand.ts";
import { call, withText } from "./call.ts";
import { CLONE } from "./clone.ts";
import { AT_FDCWD } from "./fcntl.ts";
import { openNamespace } from "./namespaces.ts";

export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  REC: 16384,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
} as const;

const MNT_DETACH = 2;
export const FSCONFIG = { SET_FLAG: 0, SET_STRING: 1, CMD_CREATE: 6 } as const;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
/** O_PATH|O_DIRECTORY|O_CLOEXEC */
const DIRECTORY_PATH = 0o12200000;

/** How /proc/PID/mountinfo writes the options of a mount. */
const OPTION_FLAGS: Readonly<Record<string, number>> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  noatime: MS.NOATIME,
  nodiratime: MS.NODIRATIME,
  relatime: MS.RELATIME,
  nosymfollow: MS.NOSYMFOLLOW,
};

export function mountFlags(options: readonly string[]): number {
  const flags = options.reduce((sum, option) => sum | (OPTION_FLAGS[option] ?? 0), 0);
  return (flags & (MS.NOATIME | MS.RELATIME)) === 0 ? flags | MS.STRICTATIME : flags;
}

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

/** Runs `build` in a copy of our mount namespace, of which the thread is the only inhabitant. */
export function makeMountNamespace(build: () => void): { readonly fd: LocalFd; readonly root: LocalFd } {
  const home = openNamespace("thread-self", "mnt");
  const top = openSync("/", DIRECTORY_PATH);
  const folder = openSync(".", DIRECTORY_PATH);
  try {
    call("unshare", "Making a mount namespace", CLONE.NEWNS);
    try {
      const fd = openNamespace("thread-self", "mnt");
      build();
      return { fd, root: openSync("/", DIRECTORY_PATH) as LocalFd };
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
