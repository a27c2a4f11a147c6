/** The mounts that processes see. */
import type { Task } from "../lib/brand.ts";
import { procPath } from "../sys/task.ts";
import { readFileSync } from "node:fs";
import { errnoOf, isGone } from "../lib/no-such-file.ts";
import { type Mount, parseMountInfo } from "./mountinfo.ts";

/**
 * The mounts that a thread sees; none for one that is gone. One that has ended and is not waited for yet has no mount
 * namespace any more: open(2) of its mountinfo fails with EINVAL.
 */
export function mountsOf(task: Task | "self"): Mount[] {
  try {
    return parseMountInfo(readFileSync(procPath(task, "mountinfo"), "utf8"));
  } catch (error) {
    if (isGone(error) || errnoOf(error) === "EINVAL") return [];
    throw error;
  }
}
