/**
 * One step of a tracee between two writes to a file of ours, with nothing of JavaScript in between: others should have as
 * little time as can be with the file as it is meanwhile.
 */
import { SyscallError, withStruct } from "../sys/call.ts";
import { ERRNO } from "../abi/errno.ts";
import { FUTEX } from "../abi/futex.ts";
import { nativeFunction } from "../sys/ffi.unsafe.ts";
import { PTRACE } from "../abi/ptrace.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { WAIT, decodeWaitStatus } from "../abi/wait.ts";
import type { LocalFd } from "../lib/brand.ts";
import { int32, JUMP, MachineCode } from "../sys/machine-code.x86_64.ts";
import { HERE, LINE, onOrder, ORDER, type OtherProcessors } from "./other-processors.x86_64.ts";
import { type Stop, TraceeGone, waitForStop } from "./stops.ts";

/** What the code finds behind its argument: 64-bit words, then the texts. */
const WORD = {
  FD: 0,
  TID: 8,
  STATUS: 16,
  LOOKS: 20,
  LENGTHS: 24,
  TEXTS: 40,
  TEXT_SIZE: 16,
  ORDER: 72,
  COUNT: 80,
  SIZE: 88,
} as const;
/** How often it is looked, some microseconds apart, whether the tracee has stopped, before the usual wait takes over. */
const LOOKS = 100_000;
/** How often it is looked, some tens of cycles apart, whether the other processors are ours: less than they stay so. */
const ARRIVAL_LOOKS = 50_000;

const INT_MAX = 0x7fff_ffff;

const write = (code: MachineCode, which: 0 | 1): MachineCode =>
  code
    .emit(0x48, 0x8b, 0x3b) // mov rdi, [rbx]
    .emit(0x48, 0x8d, 0x73, WORD.TEXTS + which * WORD.TEXT_SIZE) // lea rsi, [rbx+TEXTS]
    .emit(0x48, 0x8b, 0x53, WORD.LENGTHS + which * 8) // mov rdx, [rbx+LENGTHS]
    .emit(0x45, 0x31, 0xd2) // xor r10d, r10d
    .call(SYS.pwrite64);

/** Tells the threads of {@link OtherProcessors} to go on. */
const order = (code: MachineCode, value: number): MachineCode =>
  // mov dword [r12], value
  onOrder(code.emit(0x41, 0xc7, 0x04, 0x24, ...int32(value)), FUTEX.WAKE, INT_MAX);

/** Waits until all threads' words are `value`, but not for ever. */
const untilAll = (code: MachineCode, value: number, name: string): MachineCode =>
  code
    .emit(0x41, 0xbd, ...int32(ARRIVAL_LOOKS)) // mov r13d, ARRIVAL_LOOKS
    .place(name)
    .emit(0xf3, 0x90) // pause
    .emit(0x41, 0xff, 0xcd) // dec r13d
    .jump(JUMP.IF_EQUAL, `${name} at last`)
    .emit(0x49, 0x8d, 0x7c, 0x24, LINE) // lea rdi, [r12+LINE]
    .emit(0x8b, 0x4b, WORD.COUNT) // mov ecx, [rbx+COUNT]
    .place(`${name} each`)
    .emit(0x83, 0x3f, value) // cmp dword [rdi], value
    .jump(JUMP.UNLESS_EQUAL, name)
    .emit(0x48, 0x83, 0xc7, LINE) // add rdi, LINE
    .emit(0xff, 0xc9) // dec ecx
    .jump(JUMP.UNLESS_EQUAL, `${name} each`)
    .place(`${name} at last`);

/**
 * `step(words)`: has the other processors, pwrite(2), PTRACE_CONT, wait4(2) until it has stopped, pwrite(2), and lets
 * them go. Answers 0 or a negated errno.
 */
function stepCode(): Buffer {
  const code = new MachineCode()
    .emit(0x53, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56) // push rbx; push r12; push r13; push r14
    .emit(0x48, 0x89, 0xfb) // mov rbx, rdi
    .emit(0x4c, 0x8b, 0x63, WORD.ORDER) // mov r12, [rbx+ORDER]
    .emit(0x4d, 0x85, 0xe4) // test r12, r12
    .jump(JUMP.IF_EQUAL, "go");
  untilAll(order(code, ORDER.RUN), HERE.YES, "arrival").place("go");
  write(code, 0)
    .emit(0x48, 0x85, 0xc0) // test rax, rax
    .jump(JUMP.IF_NEGATIVE, "end")
    .emit(0xbf, ...int32(PTRACE.CONT)) // mov edi, PTRACE_CONT
    .emit(0x48, 0x8b, 0x73, WORD.TID) // mov rsi, [rbx+TID]
    .emit(0x31, 0xd2) // xor edx, edx
    .emit(0x45, 0x31, 0xd2) // xor r10d, r10d
    .call(SYS.ptrace)
    .emit(0x48, 0x85, 0xc0) // test rax, rax
    .jump(JUMP.IF_NEGATIVE, "end")
    .place("look")
    .call(SYS.sched_yield)
    .emit(0x48, 0x8b, 0x7b, WORD.TID) // mov rdi, [rbx+TID]
    .emit(0x48, 0x8d, 0x73, WORD.STATUS) // lea rsi, [rbx+STATUS]
    .emit(0xba, ...int32(WAIT.WALL | WAIT.WNOHANG)) // mov edx, options
    .emit(0x45, 0x31, 0xd2) // xor r10d, r10d
    .call(SYS.wait4)
    .emit(0x48, 0x85, 0xc0) // test rax, rax
    .jump(JUMP.UNLESS_EQUAL, "seen")
    .emit(0xff, 0x4b, WORD.LOOKS) // dec dword [rbx+LOOKS]
    .jump(JUMP.UNLESS_EQUAL, "look")
    .place("seen");
  write(code, 1)
    .emit(0x48, 0x85, 0xc0) // test rax, rax
    .jump(JUMP.IF_NEGATIVE, "end")
    .emit(0x31, 0xc0) // xor eax, eax
    .place("end")
    .emit(0x49, 0x89, 0xc6) // mov r14, rax
    .emit(0x4d, 0x85, 0xe4) // test r12, r12
    .jump(JUMP.IF_EQUAL, "return");
  return untilAll(order(code, ORDER.WAIT), HERE.NO, "departure")
    .place("return")
    .emit(0x4c, 0x89, 0xf0) // mov rax, r14
    .emit(0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5b, 0xc3) // pop r14; pop r13; pop r12; pop rbx; ret
    .build();
}
let step: ReturnType<typeof nativeFunction> | undefined;

/** What a file holds while a tracee makes one step, and what after it: at most 16 bytes each. */
export interface Meanwhile {
  readonly file: LocalFd;
  readonly during: string;
  readonly after: string;
  /** Processors that nobody else shall run on meanwhile. */
  readonly others?: OtherProcessors | undefined;
}

/** PTRACE_CONT and the stop that follows, with a file that is written right before and right after. */
export function resumeMeanwhile(tid: number, { file, during, after, others }: Meanwhile): Stop {
  step ??= nativeFunction("resume_meanwhile", stepCode(), 1);
  const run = step;
  return withStruct(WORD.SIZE, (bytes, address) => {
    bytes.writeBigInt64LE(BigInt(file), WORD.FD);
    bytes.writeBigInt64LE(BigInt(tid), WORD.TID);
    bytes.writeInt32LE(LOOKS, WORD.LOOKS);
    if (others && others.count > 0) {
      bytes.writeBigInt64LE(BigInt(others.order), WORD.ORDER);
      bytes.writeBigInt64LE(BigInt(others.count), WORD.COUNT);
    }
    [during, after].forEach((text, i) => {
      bytes.write(text, WORD.TEXTS + i * WORD.TEXT_SIZE, WORD.TEXT_SIZE, "latin1");
      bytes.writeBigInt64LE(BigInt(text.length), WORD.LENGTHS + i * 8);
    });
    const result = run(address);
    if (result < 0) throw failure(tid, result);
    const word = bytes.readInt32LE(WORD.STATUS);
    if (word === 0) return waitForStop(tid);
    const status = decodeWaitStatus(word);
    if (status.state === "stopped") return status;
    throw new TraceeGone(tid);
  });
}

/** A tracee that is not there to be resumed is all that PTRACE_CONT fails for. */
function failure(tid: number, result: number): SyscallError {
  if (result === -ERRNO.ESRCH) return new SyscallError("ptrace(PTRACE_CONT)", result, `Tracing task ${tid}`, tid);
  return new SyscallError("pwrite", result, `Preparing a step of task ${tid}`);
}
