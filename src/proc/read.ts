/** Reading /proc for processes that may go away meanwhile: what is gone reads as nothing. */
import { readdirSync, readFileSync } from "node:fs";
import { parseStat, type ProcessStat } from "./status.ts";

/** The children of a process, of all its threads (needs CONFIG_PROC_CHILDREN, which Debian has). */
export function childrenOf(pid: number): number[] {
  return readdirOrEmpty(`/proc/${pid}/task`).flatMap((tid) => {
    try {
      return readFileSync(`/proc/${pid}/task/${tid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

export function readdirOrEmpty(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** /proc/PID/stat, or undefined when there is no such task. */
export function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}
