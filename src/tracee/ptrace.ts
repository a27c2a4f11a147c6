/** ptrace(2) requests as functions. All of them must run on the thread that seized the tracee. */
import { SyscallError, attempt, withStruct } from "../sys/call.ts";
import { PF } from "../abi/task-flags.ts";
import { SIGINFO_SIZE } from "../abi/signal.ts";
import { ERRNO } from "../abi/errno.ts";
import { NT, PTRACE, PTRACE_PEEKSIGINFO_SHARED } from "../abi/ptrace.ts";
import { Registers, USER_REGS_SIZE } from "../abi/registers.x86_64.ts";
import { WAIT } from "../abi/wait.ts";
import { wait4 } from "../sys/wait.ts";
import { readStat } from "../proc/read.ts";
import type { ProcessStat } from "../proc/status.ts";
import { sleepMicroseconds } from "./stops.ts";

/** Room for any XSAVE area of today, AMX tiles (11 KiB) included. */
const XSTATE_ROOM = 16 * 1024;

/** A ptrace request that must succeed; throws a {@link SyscallError} that names the tracee. */
function request(name: keyof typeof PTRACE, tid: number, address: number, data: number): number {
  const result = attempt("ptrace", PTRACE[name], tid, address, data);
  if (result < 0) throw new SyscallError(`ptrace(PTRACE_${name})`, result, `Tracing task ${tid}`, tid);
  return result;
}

/**
 * PTRACE_SEIZE: attaches without stopping. Returns 0 or a negated errno, since tasks may vanish meanwhile. Waits while
 * any thread of the process is in execve(2); see seize.x86_64.ts.
 */
export function trySeize(tid: number, options: number): number {
  return attempt("ptrace", PTRACE.SEIZE, tid, 0, options);
}

export function interrupt(tid: number): void {
  request("INTERRUPT", tid, 0, 0);
}

/** The same for a tracee that may have been killed meanwhile: waiting for it tells. Whether it is a tracee of ours. */
export function tryInterrupt(tid: number): boolean {
  return tolerate("INTERRUPT", tid, 0);
}

/** PTRACE_CONT of a tracee that may have been killed meanwhile. */
export function tryResume(tid: number, signal = 0): void {
  tolerate("CONT", tid, signal);
}

function tolerate(name: "INTERRUPT" | "CONT", tid: number, data: number): boolean {
  const result = attempt("ptrace", PTRACE[name], tid, 0, data);
  if (result < 0 && result !== -ERRNO.ESRCH)
    throw new SyscallError(`ptrace(PTRACE_${name})`, result, `Tracing task ${tid}`, tid);
  return result >= 0;
}

export function setOptions(tid: number, options: number): void {
  request("SETOPTIONS", tid, 0, options);
}

/** Resumes with PTRACE_CONT, PTRACE_SYSCALL or PTRACE_SINGLESTEP, delivering `signal` if it is not 0. */
export function resume(how: "CONT" | "SYSCALL" | "SINGLESTEP", tid: number, signal = 0): void {
  request(how, tid, 0, signal);
}

/** PTRACE_DETACH; a task that is gone already is no failure. The first thread of a process comes last, for its end. */
export function detach(tid: number, signal = 0): void {
  const result = attempt("ptrace", PTRACE.DETACH, tid, 0, signal);
  if (result === -ERRNO.ESRCH) passOnEnd(tid);
  else if (result < 0) throw new SyscallError("ptrace(PTRACE_DETACH)", result, `Letting go of task ${tid}`, tid);
}

/** How long a task that does not stop, and of which nothing says that it ends, is asked for its end: milliseconds. */
const DOUBT_MS = 10;
/** How long one may take that is ending: it frees its memory first, and a busy machine lets it wait. Milliseconds. */
const END_MS = 5000;

/**
 * A tracer hears of a tracee's end before its parent does, who is told when the tracer has listened (ptrace(2)): a relative
 * that runs already may have killed it. Of our own children our wait would be the parent's.
 */
function passOnEnd(tid: number): void {
  for (const start = performance.now(); ; sleepMicroseconds(50)) {
    const stat = readStat(tid);
    if (!stat || stat.ppid === process.pid || wait4(tid, WAIT.WALL | WAIT.WNOHANG) !== undefined) return;
    if (performance.now() - start > (isEnding(stat) ? END_MS : DOUBT_MS)) return;
  }
}

/** The end of a first thread is told after those of all others: while there are any, no wait of ours brings it. */
function isEnding({ state, threads, flags }: ProcessStat): boolean {
  return (flags & PF.PF_EXITING) !== 0 && !(state === "Z" && threads > 1);
}

export function getRegisters(tid: number): Registers {
  return withStruct(USER_REGS_SIZE, (bytes, address) => {
    request("GETREGS", tid, 0, address);
    return new Registers(Buffer.from(bytes));
  });
}

export function setRegisters(tid: number, registers: Registers): void {
  withStruct(USER_REGS_SIZE, (bytes, address) => {
    registers.bytes.copy(bytes);
    request("SETREGS", tid, 0, address);
  });
}

/** PTRACE_GETREGSET of one ELF note type; the buffer has the length that the kernel gave. */
function getRegisterSet(tid: number, type: number): Buffer {
  return withStruct(16 + XSTATE_ROOM, (bytes, address) => {
    bytes.writeBigUInt64LE(BigInt(address + 16), 0);
    bytes.writeBigUInt64LE(BigInt(XSTATE_ROOM), 8);
    request("GETREGSET", tid, type, address);
    return Buffer.from(bytes.subarray(16, 16 + Number(bytes.readBigUInt64LE(8))));
  });
}

export function setRegisterSet(tid: number, type: number, data: Buffer): void {
  withStruct(16 + data.length, (bytes, address) => {
    bytes.writeBigUInt64LE(BigInt(address + 16), 0);
    bytes.writeBigUInt64LE(BigInt(data.length), 8);
    data.copy(bytes, 16);
    request("SETREGSET", tid, type, address);
  });
}

/** The whole vector state (x87, SSE, AVX …) in the XSAVE area's standard form. */
export function getXstate(tid: number): Buffer {
  return getRegisterSet(tid, NT.X86_XSTATE);
}

/** The blocked signals of a thread; bit 0 is signal 1. */
export function getSignalMask(tid: number): bigint {
  return withStruct(8, (bytes, address) => {
    request("GETSIGMASK", tid, 8, address);
    return bytes.readBigUInt64LE(0);
  });
}

export function setSignalMask(tid: number, mask: bigint): void {
  withStruct(8, (bytes, address) => {
    bytes.writeBigUInt64LE(mask, 0);
    request("SETSIGMASK", tid, 8, address);
  });
}

/** PTRACE_GETEVENTMSG: what belongs to the last event, such as the id of a new child. */
export function getEventMessage(tid: number): number {
  return withStruct(8, (bytes, address) => {
    request("GETEVENTMSG", tid, 0, address);
    return Number(bytes.readBigUInt64LE(0));
  });
}

/**
 * PTRACE_PEEKSIGINFO: the queued signals of the thread, or those of the whole group, oldest first, as raw siginfo_t
 * of 128 bytes each.
 */
export function peekSignals(tid: number, shared: boolean): Buffer[] {
  const batch = 32;
  const all: Buffer[] = [];
  for (;;) {
    const got = withStruct(16 + batch * SIGINFO_SIZE, (bytes, address) => {
      bytes.writeBigUInt64LE(BigInt(all.length), 0);
      bytes.writeUInt32LE(shared ? PTRACE_PEEKSIGINFO_SHARED : 0, 8);
      bytes.writeInt32LE(batch, 12);
      const count = request("PEEKSIGINFO", tid, address, address + 16);
      return Array.from({ length: count }, (_, i) =>
        Buffer.from(bytes.subarray(16 + i * SIGINFO_SIZE, 16 + (i + 1) * SIGINFO_SIZE)),
      );
    });
    all.push(...got);
    if (got.length < batch) return all;
  }
}
