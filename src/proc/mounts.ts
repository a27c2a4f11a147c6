/** The mounts that processes see. */
import { readFileSync } from "node:fs";
import { errnoOf, isGone } from "../lib/no-such-file.ts";
import { type Mount, parseMountInfo } from "./mountinfo.ts";

/**
 * The mounts of a process, by its id or what else stands for it in /proc; none for one that is gone. One that has ended
 * and is not waited for yet has no mount namespace any more: open(2) of its mountinfo fails with EINVAL.
 */
export function mountsOf(pid: number | string): Mount[] {
  try {
    return parseMountInfo(readFileSync(`/proc/${pid}/mountinfo`, "utf8"));
  } catch (error) {
    if (isGone(error) || errnoOf(error) === "EINVAL") return [];
    throw error;
  }
}
