/** Programs of some hundred bytes that are put together here and started from memory (elf(5), memfd_create(2)). */
import { call, withStruct, withText } from "../abi/call.ts";
import { MFD } from "../abi/fcntl.ts";
import { nativeFunction } from "../abi/ffi.unsafe.ts";

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

/**
 * `vfork_exec(fd, path, argv, envp)`: clone(CLONE_VM|CLONE_VFORK|SIGCHLD), and in the child execveat of the descriptor.
 * The child touches no memory, so sharing ours until it has gone is safe.
 */
const VFORK_EXEC = Uint8Array.of(
  ...[0x49, 0x89, 0xf8], // mov r8, rdi
  ...[0x49, 0x89, 0xf1], // mov r9, rsi
  ...[0x49, 0x89, 0xca], // mov r10, rcx
  ...[0xbf, 0x11, 0x41, 0, 0], // mov edi, CLONE_VM|CLONE_VFORK|SIGCHLD
  ...[0x31, 0xf6], // xor esi, esi
  ...[0xb8, 56, 0, 0, 0], // mov eax, clone
  ...[0x0f, 0x05],
  ...[0x85, 0xc0], // test eax, eax
  ...[0x75, 0x21], // jnz to ret
  ...[0x4c, 0x89, 0xc7], // mov rdi, r8
  ...[0x4c, 0x89, 0xce], // mov rsi, r9
  ...[0x41, 0xb8, 0x00, 0x10, 0, 0], // mov r8d, AT_EMPTY_PATH
  ...[0xb8, 0x42, 0x01, 0, 0], // mov eax, execveat
  ...[0x0f, 0x05],
  ...[0xbf, 127, 0, 0, 0], // mov edi, 127
  ...[0xb8, 60, 0, 0, 0], // mov eax, exit
  ...[0x0f, 0x05],
  ...[0x0f, 0x0b], // ud2
  0xc3, // ret
);

/** Made once: the foreign function library takes a name only once. */
let vforkExec: ReturnType<typeof nativeFunction> | undefined;

/** Starts a program as a child of this process; returns its pid once it runs, or a negated errno. */
export function startProgram(program: Buffer): number {
  const fd = withText("kmonte", (name) => call("memfd_create", "Making a program", name, MFD.MFD_CLOEXEC));
  try {
    withStruct(program.length, (bytes, address) => {
      program.copy(bytes);
      call("write", "Writing a program", fd, address, program.length);
    });
    return withStruct(64, (bytes, address) => {
      bytes.writeBigUInt64LE(BigInt(address + 48), 0); // argv: one empty string
      vforkExec ??= nativeFunction("vfork_exec", VFORK_EXEC, 4);
      return vforkExec(fd, address + 48, address, address + 16);
    });
  } finally {
    call("close", "Closing a program", fd);
  }
}
