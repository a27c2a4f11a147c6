/**
 * One step of a tracee between two writes to a file of ours, with nothing of JavaScript in between: others should have as
 * little time as can be with the file as it is meanwhile.
 */
import { SyscallError, withStruct } from "../abi/call.ts";
import { ERRNO } from "../abi/errno.ts";
import { nativeFunction } from "../abi/ffi.unsafe.ts";
import { PTRACE } from "../abi/ptrace.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { decodeWaitStatus, WAIT } from "../abi/wait.ts";
import type { LocalFd } from "../lib/brand.ts";
import { int32, JUMP, MachineCode } from "./machine-code.x86_64.ts";
import { type Stop, TraceeGone, waitForStop } from "./stops.ts";

/** What the code finds behind its argument: 64-bit words, then the texts. */
const WORD = { FD: 0, TID: 8, STATUS: 16, LOOKS: 20, LENGTHS: 24, TEXTS: 40, TEXT_SIZE: 16 } as const;
/** How often it is looked, some microseconds apart, whether the tracee has stopped, before the usual wait takes over. */
const LOOKS = 100_000;

const write = (code: MachineCode, which: 0 | 1): MachineCode =>
  code
    .emit(0x48, 0x8b, 0x3b) // mov rdi, [rbx]
    .emit(0x48, 0x8d, 0x73, WORD.TEXTS + which * WORD.TEXT_SIZE) // lea rsi, [rbx+TEXTS]
    .emit(0x48, 0x8b, 0x53, WORD.LENGTHS + which * 8) // mov rdx, [rbx+LENGTHS]
    .emit(0x45, 0x31, 0xd2) // xor r10d, r10d
    .call(SYS.pwrite64);

/** `step(words)`: pwrite(2), PTRACE_CONT, wait4(2) until it has stopped, pwrite(2). Answers 0 or a negated errno. */
function stepCode(): Buffer {
  const code = new MachineCode()
    .emit(0x53) // push rbx
    .emit(0x48, 0x89, 0xfb); // mov rbx, rdi
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
  return write(code, 1)
    .emit(0x48, 0x85, 0xc0) // test rax, rax
    .jump(JUMP.IF_NEGATIVE, "end")
    .emit(0x31, 0xc0) // xor eax, eax
    .place("end")
    .emit(0x5b, 0xc3) // pop rbx; ret
    .build();
}
let step: ReturnType<typeof nativeFunction> | undefined;

/** What a file holds while a tracee makes one step, and what after it: at most 16 bytes each. */
export interface Meanwhile {
  readonly file: LocalFd;
  readonly during: string;
  readonly after: string;
}

/** PTRACE_CONT and the stop that follows, with a file that is written right before and right after. */
export function resumeMeanwhile(tid: number, { file, during, after }: Meanwhile): Stop {
  step ??= nativeFunction("resume_meanwhile", stepCode(), 1);
  const run = step;
  return withStruct(WORD.TEXTS + 2 * WORD.TEXT_SIZE, (bytes, address) => {
    bytes.writeBigInt64LE(BigInt(file), WORD.FD);
    bytes.writeBigInt64LE(BigInt(tid), WORD.TID);
    bytes.writeInt32LE(LOOKS, WORD.LOOKS);
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
