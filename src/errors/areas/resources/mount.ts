/** Mounts. */
import { failed, refused, type NamedFile, type NamedProcess, type Numbers, type Texts } from "../../entry.ts";
import type { FailureFacts, FailureText } from "../../failure.ts";

function unreachable(
  { pid, command, link }: Omit<NamedFile, "fd">,
  why: string,
): FailureText & { readonly facts: FailureFacts } {
  return {
    what: `Process ${pid} (${command}) uses ${link}, to which no path leads.`,
    why,
    remedy: "Let the program close it, or unmount what was mounted over it.",
    facts: { pid, command, path: link, resource: "file" },
  };
}

export const mount = {
  MOUNT_CONTENTS: failed(({ said }: Texts<"said">) => ({
    what: "The contents of a file system in memory cannot be carried.",
    why: `tar said: ${said}`,
  })),
  MOUNT_DETACHED: {
    mount: refused(({ pid }: Numbers<"pid">) => ({
      what: `Process ${pid} uses a mount that was taken away.`,
      why: "Nothing shows its file system any more, and it is none in memory.",
      remedy: "Mount the file system again, or let the program close what it has open there.",
      facts: { pid, resource: "mount" },
    })),
    file: refused(({ file }: { readonly file: Omit<NamedFile, "fd"> }) =>
      unreachable(file, "The mount on which it lies is not mounted anywhere any more."),
    ),
  },
  MOUNT_LEASE: refused(({ pid, command, path }: NamedProcess & Texts<"path">) => ({
    what: `The mount namespace of process ${pid} (${command}) has a file in memory that cannot be read without being noticed.`,
    why: `Somebody holds a lease on ${path}, and to open it would break that.`,
    remedy: "Let the program give the lease up, or keep the file on a file system that the machine has too.",
    facts: { pid, command, path, resource: "mount-namespace" },
  })),
  MOUNT: refused(
    ({
      pid,
      command,
      mountPoint,
      root,
      type,
      source,
    }: NamedProcess & Texts<"mountPoint" | "root" | "type" | "source">) => ({
      what: `The mount namespace of process ${pid} (${command}) has a mount that cannot be made again.`,
      why: `${mountPoint} shows ${root} of a file system ${type} (${source}) that the machine does not show anywhere.`,
      remedy: "Mount the file system on the machine too, or unmount it there.",
      facts: { pid, command, path: mountPoint, resource: "mount-namespace" },
    }),
  ),
  MOUNT_OF_FILE: refused(
    ({ pid, command, mountPoint, root, type }: NamedProcess & Texts<"mountPoint" | "root" | "type">) => ({
      what: `The mount namespace of process ${pid} (${command}) shows a file alone.`,
      why: `${mountPoint} is ${root} of a file system ${type} that is mounted nowhere else.`,
      remedy: "Unmount it, or leave this process out.",
      facts: { pid, command, path: mountPoint, resource: "mount-namespace" },
    }),
  ),
  MOUNT_IDMAPPED: refused(({ mountPoint, pid, command, why }: NamedProcess & Texts<"mountPoint" | "why">) => ({
    what: `The mount at ${mountPoint} in the mount namespace of process ${pid} (${command}) maps the owners of files.`,
    why: `It cannot be told how. ${why}`,
    remedy: "Leave the process out, or give its files their owners without such a mount.",
    facts: { pid, command, path: mountPoint, resource: "namespace" },
  })),
  MOUNT_HIDDEN: refused(
    ({ pid, command, type, mountPoint, why }: NamedProcess & Texts<"type" | "mountPoint" | "why">) => ({
      what: `The mount namespace of process ${pid} (${command}) has a file system ${type} that cannot be looked at as a whole.`,
      why: `${mountPoint}: ${why}`,
      remedy: "Unmount it, or mount its root as well.",
      facts: { pid, command, path: mountPoint, resource: "mount-namespace" },
    }),
  ),

  FILE_COVERED: refused(({ file, why }: { readonly file: Omit<NamedFile, "fd"> } & Texts<"why">) =>
    unreachable(file, why),
  ),
};
