/** Programs of some hundred bytes that are put together here and started from memory (elf(5), memfd_create(2)). */
import { attempt, call, withStruct, withText } from "../sys/call.ts";
import { CLONE } from "../abi/clone.ts";
import { AT_EMPTY_PATH, F, MFD } from "../abi/fcntl.ts";
import { nativeFunction } from "../sys/ffi.unsafe.ts";
import { PR } from "../abi/prctl.ts";
import { SIGNAL } from "../abi/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import type { LocalFd } from "../lib/brand.ts";
import { int32, JUMP, MachineCode } from "../sys/machine-code.x86_64.ts";

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const PAGE = 4096;

/** Flags of a segment. */
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;

export interface ProgramSegment {
  readonly flags: number;
  readonly address: number;
  /** Bytes from the start of the file; the rest up to `memorySize` is zero. */
  readonly fileSize: number;
  readonly memorySize?: number;
}

/** Bytes before the code in a program of so many segments. */
export function headerBytes(segments: number): number {
  return ELF_HEADER + segments * PROGRAM_HEADER;
}

/** A static program: `code` follows the headers and begins at `start` plus their size. */
export function buildProgram(start: number, code: Buffer, segments: readonly ProgramSegment[]): Buffer {
  const headers = headerBytes(segments.length);
  const program = Buffer.alloc(headers + code.length);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(program);
  program.writeUInt16LE(2, 16); // ET_EXEC
  program.writeUInt16LE(62, 18); // EM_X86_64
  program.writeUInt32LE(1, 20);
  program.writeBigUInt64LE(BigInt(start + headers), 24);
  program.writeBigUInt64LE(BigInt(ELF_HEADER), 32);
  program.writeUInt16LE(ELF_HEADER, 52);
  program.writeUInt16LE(PROGRAM_HEADER, 54);
  program.writeUInt16LE(segments.length, 56);
  segments.forEach(({ flags, address, fileSize, memorySize }, index) => {
    const at = ELF_HEADER + index * PROGRAM_HEADER;
    program.writeUInt32LE(1, at); // PT_LOAD
    program.writeUInt32LE(flags, at + 4);
    program.writeBigUInt64LE(BigInt(address), at + 16);
    program.writeBigUInt64LE(BigInt(fileSize), at + 32);
    program.writeBigUInt64LE(BigInt(memorySize ?? fileSize), at + 40);
    program.writeBigUInt64LE(BigInt(PAGE), at + 48);
  });
  code.copy(program, headers);
  return program;
}

/** A static program of nothing but code with its data, which it does not change. */
export function codeProgram(start: number, code: Buffer): Buffer {
  return buildProgram(start, code, [{ flags: PF_R | PF_X, address: start, fileSize: headerBytes(1) + code.length }]);
}

/** The status of a child that could not become the program. */
export const NOT_RUN = 127;

/**
 * `vfork_exec(fd, path, argv, envp, signal, parent)`: clone(CLONE_VM|CLONE_VFORK|SIGCHLD), and in the child execveat of
 * the descriptor. The child touches no memory, so sharing ours until it has gone is safe. With a signal, it closes what
 * is open for input and output and gets the signal at our end (PR_SET_PDEATHSIG); if that has come already, it ends.
 */
const VFORK_EXEC = new MachineCode()
  .emit(0x53, 0x55) // push rbx; push rbp
  .emit(0x4c, 0x89, 0xc3) // mov rbx, r8
  .emit(0x4c, 0x89, 0xcd) // mov rbp, r9
  .emit(0x49, 0x89, 0xf8) // mov r8, rdi
  .emit(0x49, 0x89, 0xf1) // mov r9, rsi
  .emit(0x49, 0x89, 0xca) // mov r10, rcx
  .emit(0xbf, ...int32(CLONE.VM | CLONE.VFORK | SIGNAL.SIGCHLD)) // mov edi, flags
  .emit(0x31, 0xf6) // xor esi, esi
  .call(SYS.clone)
  .emit(0x85, 0xc0) // test eax, eax
  .jump(JUMP.UNLESS_EQUAL, "parent")
  .emit(0x85, 0xdb) // test ebx, ebx
  .jump(JUMP.IF_EQUAL, "exec")
  .emit(0xbf, ...int32(PR.SET_PDEATHSIG)) // mov edi, PR_SET_PDEATHSIG
  .emit(0x89, 0xde) // mov esi, ebx
  .call(SYS.prctl)
  .call(SYS.getppid)
  .emit(0x39, 0xe8) // cmp eax, ebp
  .jump(JUMP.UNLESS_EQUAL, "exit")
  .emit(0x48, 0x89, 0xd3) // mov rbx, rdx
  .emit(0x31, 0xff) // xor edi, edi
  .emit(0xbe, ...int32(2)) // mov esi, 2
  .emit(0x31, 0xd2) // xor edx, edx
  .call(SYS.close_range)
  .emit(0x48, 0x89, 0xda) // mov rdx, rbx
  .place("exec")
  .emit(0x4c, 0x89, 0xc7) // mov rdi, r8
  .emit(0x4c, 0x89, 0xce) // mov rsi, r9
  .emit(0x41, 0xb8, ...int32(AT_EMPTY_PATH)) // mov r8d, AT_EMPTY_PATH
  .call(SYS.execveat)
  .place("exit")
  .emit(0xbf, ...int32(NOT_RUN)) // mov edi, NOT_RUN
  .call(SYS.exit)
  .place("parent")
  .emit(0x5d, 0x5b, 0xc3) // pop rbp; pop rbx; ret
  .build();

/** Made once: the foreign function library takes a name only once. */
let vforkExec: ReturnType<typeof nativeFunction> | undefined;

/**
 * Starts a program as a child of this process; returns its pid once it runs, or a negated errno. A helper that must not
 * stay when we do not gets `deathSignal` at the end of this thread, and has nothing open for input and output.
 */
export function startProgram(program: Buffer, deathSignal = 0): number {
  const fd = withText("kmonte", (name) => call("memfd_create", "Making a program", name, MFD.MFD_CLOEXEC));
  try {
    withStruct(program.length, (bytes, address) => {
      program.copy(bytes);
      call("write", "Writing a program", fd, address, program.length);
    });
    return startFile(fd, [""], deathSignal);
  } finally {
    call("close", "Closing a program", fd);
  }
}

/** The same for a program in an open file, with its arguments (argv of execve(2)) and an empty environment. */
export function startFile(fd: number, argv: readonly string[], deathSignal = 0): number {
  const strings = argv.map((text) => Buffer.from(`${text}\0`));
  const pointers = 8 * (argv.length + 1);
  return withStruct(pointers + 8 + Buffer.concat(strings).length, (bytes, address) => {
    let at = pointers + 8;
    strings.forEach((text, i) => {
      bytes.writeBigUInt64LE(BigInt(address + at), i * 8);
      text.copy(bytes, at);
      at += text.length;
    });
    const empty = address + pointers;
    vforkExec ??= nativeFunction("vfork_exec", VFORK_EXEC, 6);
    return vforkExec(fd, empty, address, empty, deathSignal, process.pid);
  });
}

const FD_CLOEXEC = 1;

/** Runs `action` while some descriptors are such as new programs get too. */
export function withInherited<T>(fds: readonly LocalFd[], action: () => T): T {
  for (const fd of fds) call("fcntl", "Lending a descriptor", fd, F.F_SETFD, 0);
  try {
    return action();
  } finally {
    // Nothing may be thrown any more: it would be taken for something that did not come about.
    for (const fd of fds) attempt("fcntl", fd, F.F_SETFD, FD_CLOEXEC);
  }
}
