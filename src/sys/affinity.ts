/** Which CPUs a thread may use (sched_setaffinity(2)), and its real-time priority (sched(7)). */
import { ERRNO } from "../abi/errno.ts";
import { SyscallError, attempt, call, withStruct } from "./call.ts";

/** CPUs that a set has room for (CPU_SETSIZE). */
const CPU_SET_SIZE = 1024;

/** SCHED_FIFO, which children do not inherit (SCHED_RESET_ON_FORK). */
const FIFO = 1 | 0x4000_0000;

/** The CPUs that a thread may use; 0 is the calling one. */
export function cpusOf(tid: number): number[] {
  return withStruct(CPU_SET_SIZE / 8, (bytes, address) => {
    call("sched_getaffinity", `Asking for the affinity of thread ${tid}`, tid, CPU_SET_SIZE / 8, address);
    const cpus: number[] = [];
    // Nearly all of the set's bytes are zero, and a process may have thousands of threads.
    bytes.forEach((byte, index) => {
      for (let bit = 0; byte >> bit !== 0; bit += 1) if ((byte >> bit) & 1) cpus.push(index * 8 + bit);
    });
    return cpus;
  });
}

/** CPUs that this machine does not have are left out; with none left, the thread may go on running anywhere. */
export function setAffinity(tid: number, cpus: readonly number[]): void {
  const result = trySetAffinity(tid, cpus);
  if (result >= 0 || result === -ERRNO.EINVAL) return;
  throw new SyscallError("sched_setaffinity", result, `Setting the affinity of thread ${tid}`);
}

/** The same for callers that can do without: answers 0 or a negated errno. */
export function trySetAffinity(tid: number, cpus: readonly number[]): number {
  return withStruct(CPU_SET_SIZE / 8, (bytes, address) => {
    for (const cpu of cpus) bytes[cpu >> 3] = (bytes[cpu >> 3] ?? 0) | (1 << (cpu & 7));
    return attempt("sched_setaffinity", tid, CPU_SET_SIZE / 8, address);
  });
}

/** The CPU that the calling thread runs on (getcpu(2)). */
export function currentCpu(): number {
  return withStruct(4, (bytes, address) => {
    call("getcpu", "Asking for the CPU", address, 0, 0);
    return bytes.readUInt32LE(0);
  });
}

/**
 * Gives a thread the policy SCHED_FIFO with a priority of 1 to 99, where that is allowed; 0 is the calling thread.
 * Returns how to take it back.
 */
export function raisePriority(tid: number, priority: number): () => void {
  return withStruct(4, (bytes, address) => {
    const policy = attempt("sched_getscheduler", tid);
    attempt("sched_getparam", tid, address);
    const usual = bytes.readInt32LE(0);
    bytes.writeInt32LE(priority, 0);
    attempt("sched_setscheduler", tid, FIFO, address);
    return () =>
      withStruct(4, (param, at) => {
        param.writeInt32LE(usual, 0);
        attempt("sched_setscheduler", tid, policy, at);
      });
  });
}
