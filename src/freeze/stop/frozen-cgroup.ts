/** Processes that stand still because their control group is frozen (cgroups(7)): they answer to nothing, us included. */
import { findTask } from "../../proc/read.ts";
import { procPath } from "../../sys/task.ts";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { cgroupFolder, parseCgroups } from "../../proc/cgroup.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";

export function refuseFrozenGroup(pid: number, command: string): Refusal | undefined {
  const paths = parseCgroups(orIfGone(() => readFileSync(procPath(findTask(pid), "cgroup"), "utf8"), ""));
  const mounts = parseMountInfo(readFileSync("/proc/thread-self/mountinfo", "utf8"));
  for (const [hierarchy, path] of Object.entries(paths)) {
    if (path === "/") continue;
    const folder = cgroupFolder(mounts, hierarchy, path);
    if (folder === undefined || !isFrozen(folder, hierarchy)) continue;
    const setting = hierarchy === "" ? "cgroup.freeze" : "freezer.state";
    return failures.CGROUP_FROZEN({ pid, command, folder, setting });
  }
  return undefined;
}

function isFrozen(folder: string, hierarchy: string): boolean {
  if (hierarchy !== "" && !hierarchy.split(",").includes("freezer")) return false;
  const [file, pattern] = hierarchy === "" ? ["cgroup.events", /^frozen 1$/m] : ["freezer.state", /^FR/];
  const path = join(folder, file as string);
  // The root has neither, and a group may be gone by now.
  return existsSync(path) && (pattern as RegExp).test(orIfGone(() => readFileSync(path, "utf8"), ""));
}
