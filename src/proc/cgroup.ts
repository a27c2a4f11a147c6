/** /proc/PID/cgroup (cgroups(7)), and where the hierarchies are mounted. */
import { join } from "node:path";
import type { Mount } from "./mountinfo.ts";

/** The path of a task in each hierarchy, by its controllers as the file names them; "" for version 2. */
export type CgroupPaths = Record<string, string>;

export function parseCgroups(text: string): CgroupPaths {
  const paths: CgroupPaths = {};
  for (const line of text.split("\n").filter(Boolean)) {
    const [, controllers = "", path = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    // A cgroup that has been removed while a process that ended is still in it.
    paths[controllers] = path.replace(/ \(deleted\)$/, "");
  }
  return paths;
}

/** The folder of a cgroup, below the widest mount of its hierarchy. */
export function cgroupFolder(mounts: readonly Mount[], hierarchy: string, path: string): string | undefined {
  for (const { type, superOptions, mountPoint, root } of mounts) {
    const fits =
      hierarchy === ""
        ? type === "cgroup2"
        : type === "cgroup" && hierarchy.split(",").every((name) => superOptions.includes(name));
    if (!fits || (root !== "/" && path !== root && !path.startsWith(`${root}/`))) continue;
    return join(mountPoint, root === "/" ? path : path.slice(root.length));
  }
  return undefined;
}
