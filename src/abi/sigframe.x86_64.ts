/**
 * The frame that rt_sigreturn(2) takes a thread's state back from: struct rt_sigframe without its first word
 * (arch/x86/include/asm/sigframe.h, include/uapi/asm-generic/ucontext.h, arch/x86/include/uapi/asm/sigcontext.h).
 */
import type { RegisterName, Registers } from "./registers.x86_64.ts";

/** Where each register stands in struct sigcontext, which follows uc_flags, uc_link and uc_stack (40 bytes). */
const MCONTEXT = 40;
const SIGCONTEXT_ORDER: readonly RegisterName[] = [
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
  "rdi",
  "rsi",
  "rbp",
  "rbx",
  "rdx",
  "rax",
  "rcx",
  "rsp",
  "rip",
  "eflags",
];
/** Offsets in struct ucontext, which a signal handler gets, of registers of the thread that was interrupted. */
export const UCONTEXT = { RDI: registerAt("rdi"), RAX: registerAt("rax"), RIP: registerAt("rip") } as const;

function registerAt(name: RegisterName): number {
  return MCONTEXT + SIGCONTEXT_ORDER.indexOf(name) * 8;
}

const SELECTORS = MCONTEXT + 18 * 8;
const FPSTATE_POINTER = MCONTEXT + 18 * 8 + 8 + 4 * 8;
const SIGMASK = MCONTEXT + 256;
const FIXED_SIZE = SIGMASK + 8 + 128;

const UC_FP_XSTATE = 1n;
const UC_SIGCONTEXT_SS = 2n;
const UC_STRICT_RESTORE_SS = 4n;

/** sigaltstack(2) refuses these flags, and rt_sigreturn ignores the refusal: the alternate stack stays as it is. */
const SS_FLAGS_KEEP = 0x1234;

const FP_XSTATE_MAGIC1 = 0x46505853;
const FP_XSTATE_MAGIC2 = 0x46505845;
const SW_RESERVED = 464;

/** Bytes that a frame takes for an XSAVE area of `xstateSize` bytes, the alignment of 64 included. */
export function sigframeSize(xstateSize: number): number {
  return FIXED_SIZE + 64 + xstateSize + 4;
}

/**
 * A frame that, standing at `address` with rsp = `address`, makes rt_sigreturn load `registers`, `xstate` (the
 * NT_X86_XSTATE register set) and the signal mask `sigmask` (64 bits, bit 0 is signal 1).
 */
export function buildSigframe(address: number, registers: Registers, xstate: Buffer, sigmask: bigint): Buffer {
  const fpstate = Math.ceil((address + FIXED_SIZE) / 64) * 64;
  const frame = Buffer.alloc(fpstate - address + xstate.length + 4);
  frame.writeBigUInt64LE(UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS, 0);
  frame.writeUInt32LE(SS_FLAGS_KEEP, 24);
  SIGCONTEXT_ORDER.forEach((name, index) => frame.writeBigUInt64LE(registers.get(name), MCONTEXT + index * 8));
  frame.writeUInt16LE(registers.getInt("cs"), SELECTORS);
  frame.writeUInt16LE(registers.getInt("ss"), SELECTORS + 6);
  frame.writeBigUInt64LE(BigInt(fpstate), FPSTATE_POINTER);
  frame.writeBigUInt64LE(sigmask, SIGMASK);

  const area = frame.subarray(fpstate - address);
  xstate.copy(area);
  const features = xstate.readBigUInt64LE(SW_RESERVED);
  area.fill(0, SW_RESERVED, 512);
  area.writeUInt32LE(FP_XSTATE_MAGIC1, SW_RESERVED);
  area.writeUInt32LE(xstate.length + 4, SW_RESERVED + 4);
  area.writeBigUInt64LE(features, SW_RESERVED + 8);
  area.writeUInt32LE(xstate.length, SW_RESERVED + 16);
  area.writeUInt32LE(FP_XSTATE_MAGIC2, xstate.length);
  return frame;
}
