/** Whether a thread waits for a child of vfork(2), which nothing but that child's exec or end can interrupt. */
import { readFileSync } from "node:fs";
import { CLONE } from "../../abi/clone.ts";
import { SYS } from "../../abi/syscalls.x86_64.ts";
import { remoteAddress, type Task } from "../../lib/brand.ts";
import { readStat } from "../../proc/read.ts";
import { procPath } from "../../sys/task.ts";
import { TraceeMemory } from "../../tracee/memory.ts";

export function waitsInVfork(tid: Task): boolean {
  if (readStat(tid)?.state !== "D") return false;
  try {
    // proc_pid_syscall(5): number and arguments of the call in which the thread is blocked.
    const [call, first = "0"] = readFileSync(procPath(tid, "syscall"), "utf8").split(" ");
    switch (Number(call)) {
      case SYS.vfork:
        return true;
      case SYS.clone:
        return (BigInt(first) & BigInt(CLONE.VFORK)) !== 0n;
      case SYS.clone3: {
        using memory = new TraceeMemory(tid);
        const flags = memory.read(remoteAddress(Number(first)), 8).readBigUInt64LE(0);
        return (flags & BigInt(CLONE.VFORK)) !== 0n;
      }
      default:
        return false;
    }
  } catch {
    return false;
  }
}
