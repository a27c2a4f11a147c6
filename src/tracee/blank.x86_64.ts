/**
 * A process with nothing in it but the kernel's vDSO and a few pages of ours, in which a frozen process is built.
 * It is started from a program of some 200 bytes that is put together here.
 */
import { readFileSync } from 'node:fs';
import { attempt, call, withStruct, withText } from '../abi/call.ts';
import { nativeFunction } from '../abi/ffi.unsafe.ts';
import { MFD } from '../abi/fcntl.ts';
import { PTRACE_O } from '../abi/ptrace.ts';
import { KmonteError } from '../lib/errors.ts';
import { remoteAddress, type RemoteAddress } from '../lib/brand.ts';
import { interrupt, trySeize } from './ptrace.ts';
import { waitForStop } from './stops.ts';

const PAGE = 4096;
const ELF_HEADERS = 64 + 2 * 56;

/** The pages of ours in a blank process: one of code, the rest for arguments and results. */
export interface Workshop {
  /** `syscall; int3`. */
  readonly single: RemoteAddress;
  /** Runs a table of calls; rbx points at it, ebp counts it. Ends at an int3. */
  readonly loop: RemoteAddress;
  readonly data: RemoteAddress;
  readonly dataSize: number;
  readonly start: RemoteAddress;
  readonly end: RemoteAddress;
}

export const WORKSHOP_SIZE = 8 * PAGE;
/** One row of the table: number, six arguments, result; 64 bits each. */
export const ROW_SIZE = 64;

/** Ends by itself after a minute if no one takes it over, then sleeps. */
const WAIT_CODE = [
  ...[0xbf, 0x3c, 0, 0, 0, 0xb8, 0x25, 0, 0, 0, 0x0f, 0x05], // alarm(60)
  ...[0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7], // pause() for ever
];
const SINGLE_CODE = [0x0f, 0x05, 0xcc];
const LOOP_CODE = [
  ...[0x48, 0x8b, 0x03], // mov rax, [rbx]
  ...[0x48, 0x8b, 0x7b, 0x08], // mov rdi, [rbx+8]
  ...[0x48, 0x8b, 0x73, 0x10], // mov rsi, [rbx+16]
  ...[0x48, 0x8b, 0x53, 0x18], // mov rdx, [rbx+24]
  ...[0x4c, 0x8b, 0x53, 0x20], // mov r10, [rbx+32]
  ...[0x4c, 0x8b, 0x43, 0x28], // mov r8, [rbx+40]
  ...[0x4c, 0x8b, 0x4b, 0x30], // mov r9, [rbx+48]
  ...[0x0f, 0x05], // syscall
  ...[0x48, 0x89, 0x43, 0x38], // mov [rbx+56], rax
  ...[0x48, 0x83, 0xc3, 0x40], // add rbx, 64
  ...[0xff, 0xcd], // dec ebp
  ...[0x75, 0xd7], // jnz to the beginning
  0xcc, // int3
];

export function workshopAt(start: number): Workshop {
  const code = start + ELF_HEADERS + WAIT_CODE.length;
  return {
    start: remoteAddress(start),
    end: remoteAddress(start + WORKSHOP_SIZE),
    single: remoteAddress(code),
    loop: remoteAddress(code + SINGLE_CODE.length),
    data: remoteAddress(start + PAGE),
    dataSize: WORKSHOP_SIZE - PAGE,
  };
}

/** A static program whose only segments are the workshop, at its final address (elf(5)). */
function buildProgram(start: number): Buffer {
  const code = Buffer.from([...WAIT_CODE, ...SINGLE_CODE, ...LOOP_CODE]);
  const program = Buffer.alloc(ELF_HEADERS + code.length);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(program);
  program.writeUInt16LE(2, 16); // ET_EXEC
  program.writeUInt16LE(62, 18); // EM_X86_64
  program.writeUInt32LE(1, 20);
  program.writeBigUInt64LE(BigInt(start + ELF_HEADERS), 24);
  program.writeBigUInt64LE(64n, 32);
  program.writeUInt16LE(64, 52);
  program.writeUInt16LE(56, 54);
  program.writeUInt16LE(2, 56);
  const segment = (index: number, flags: number, address: number, fileSize: number, memorySize: number): void => {
    const at = 64 + index * 56;
    program.writeUInt32LE(1, at); // PT_LOAD
    program.writeUInt32LE(flags, at + 4);
    program.writeBigUInt64LE(BigInt(address), at + 16);
    program.writeBigUInt64LE(BigInt(fileSize), at + 32);
    program.writeBigUInt64LE(BigInt(memorySize), at + 40);
    program.writeBigUInt64LE(BigInt(PAGE), at + 48);
  };
  segment(0, 5, start, program.length, program.length);
  segment(1, 6, start + PAGE, 0, WORKSHOP_SIZE - PAGE);
  code.copy(program, ELF_HEADERS);
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

/** What every process that is being built is traced with: should kmonte die, it dies too. */
export const BUILD_OPTIONS =
  PTRACE_O.EXITKILL | PTRACE_O.TRACESYSGOOD | PTRACE_O.TRACEFORK | PTRACE_O.TRACEVFORK | PTRACE_O.TRACECLONE;

/** Starts a blank process, traced and stopped, with its workshop at `start`. Returns its pid; the caller ends it. */
export function spawnBlank(start: number): number {
  const fd = withText('kmonte', (name) => call('memfd_create', 'Making a blank program', name, MFD.MFD_CLOEXEC));
  try {
    const program = buildProgram(start);
    withStruct(program.length, (bytes, address) => {
      program.copy(bytes);
      call('write', 'Writing a blank program', fd, address, program.length);
    });
    const vforkExec = nativeFunction('vfork_exec', VFORK_EXEC, 4);
    const pid = withStruct(64, (bytes, address) => {
      bytes.writeBigUInt64LE(BigInt(address + 48), 0); // argv: one empty string
      return vforkExec(fd, address + 48, address, address + 16);
    });
    if (pid < 0) throw new KmonteError('BLANK_FAILED', { what: 'No new process could be made.' });
    const seized = trySeize(pid, BUILD_OPTIONS);
    if (seized < 0) {
      attempt('kill', pid, 9);
      attempt('wait4', pid, 0, 0, 0);
      throw new KmonteError('BLANK_FAILED', {
        what: 'A blank process could not be started.',
        why: `Its program did not run or could not be traced (${readComm(pid)}).`,
        remedy: 'Check that /proc/sys/vm/memfd_noexec is not 2 and that /proc/sys/kernel/yama/ptrace_scope is below 3.',
      });
    }
    interrupt(pid);
    waitForStop(pid);
    return pid;
  } finally {
    call('close', 'Closing a blank program', fd);
  }
}

function readComm(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'it has ended';
  }
}
