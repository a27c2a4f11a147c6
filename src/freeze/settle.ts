/**
 * What a thread needs right after it has been stopped so that it will not have noticed, whatever comes next: should
 * kmonte die at once, the thread goes on as if it had never been stopped.
 */
import { withoutInterruption } from "../tracee/interrupted-call.x86_64.ts";
import { getRegisters, setRegisters } from "../tracee/ptrace.ts";

export function settleThread(tid: number): void {
  const settled = withoutInterruption(getRegisters(tid));
  if (settled) setRegisters(tid, settled);
}
