/** Whether kmonte lives in the machine's own pid namespace, or in a container's. */
import { readlinkSync } from "node:fs";

/** PROC_PID_INIT_INO of include/linux/proc_ns.h: the inode of the first pid namespace, the same on every machine. */
const FIRST = "pid:[4026531836]";

export function isFirstPidNamespace(): boolean {
  return readlinkSync("/proc/self/ns/pid") === FIRST;
}
