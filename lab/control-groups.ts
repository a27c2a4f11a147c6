/** Control groups of the host (cgroups(7), version 2) for the boots of a machine made of namespaces. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Refusal } from "../src/errors/failure.ts";

/** Where the tree of version 2 is mounted: /sys/fs/cgroup, or below it beside the trees of version 1. */
export function controlGroupRoot(mounts = readFileSync("/proc/self/mounts", "utf8")): string {
  const line = mounts.split("\n").find((text) => text.split(" ")[2] === "cgroup2");
  const path = line?.split(" ")[1];
  if (path !== undefined) return path;
  throw new Refusal("LAB_NO_CONTROL_GROUPS", {
    what: "A machine of namespaces cannot be booted here.",
    why: "/proc/self/mounts has no file system of type cgroup2, which its systemd needs.",
    remedy: "Mount one: mount -t cgroup2 none /sys/fs/cgroup/unified",
  });
}

export function makeControlGroup(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    throw new Refusal("LAB_NO_CONTROL_GROUPS", {
      what: "A machine of namespaces cannot be booted here.",
      why: `mkdir ${path} failed with ${(error as NodeJS.ErrnoException).code}.`,
      remedy: "Run the same command as root, where control groups can be made.",
    });
  }
}

/** Removes a group with all groups in it, as soon as the kernel has taken leave of the processes that ended in it. */
export async function removeControlGroup(path: string, timeoutMs = 5_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      removeTree(path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      if (Date.now() > end) throw error;
      await delay(20);
    }
  }
}

function removeTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(path, entry.name));
  }
  rmdirSync(path);
}
