/**
 * What a thread needs right after it has been stopped so that it will not have noticed, whatever comes next: should
 * kmonte die at once, the thread goes on as if it had never been stopped.
 */
import { readFileSync } from "node:fs";
import type { Task } from "../../lib/brand.ts";
import { procPath } from "../../sys/task.ts";
import { withoutInterruption } from "../../tracee/interrupted-call.x86_64.ts";
import { getRegisters, setRegisters } from "../../tracee/ptrace.ts";
import { abortedSection } from "../../tracee/rseq.x86_64.ts";

/**
 * Takes a call that answers EINTR back to its beginning, and a thread inside a restartable sequence to its abort
 * handler, before remote calls make the kernel forget the sequence.
 */
export function settleThread(tid: number): void {
  const registers = getRegisters(tid);
  const settled = withoutInterruption(registers) ?? abortedSection(tid, registers);
  if (settled) setRegisters(tid, settled);
}

/** Whether the thread stands in the kernel's own code, which will be another's after the thaw (vdso(7)). */
export function standsInVdso(tid: Task): boolean {
  const registers = getRegisters(tid);
  if (registers.getInt("orig_rax") >= 0) return false;
  const rip = Number(registers.get("rip"));
  const found = /^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$/m.exec(readFileSync(procPath(tid, "maps"), "utf8"));
  return found !== null && rip >= Number.parseInt(found[1] ?? "", 16) && rip < Number.parseInt(found[2] ?? "", 16);
}
