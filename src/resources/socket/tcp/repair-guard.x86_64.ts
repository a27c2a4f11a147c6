/**
 * Repair mode belongs to the open file description: a program whose socket stays in it can neither send nor receive.
 * While any socket of a living program is in it, a guard waits for our end, and lets all of them go on should we be killed.
 * It shares our descriptors and our memory (clone(2), CLONE_FILES|CLONE_VM), and runs a few instructions of its own.
 */
import { attempt, call, withStruct } from "../../../sys/call.ts";
import { NativeBuffer, nativeFunction } from "../../../sys/ffi.unsafe.ts";
import { SYS } from "../../../abi/syscalls.x86_64.ts";
import { WAIT } from "../../../abi/wait.ts";
import { IPPROTO, SO, SOL } from "../../../abi/socket.ts";
import { TCP_REPAIR } from "../../../abi/tcp.ts";
import { CLONE } from "../../../abi/clone.ts";

const u32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255];
const load = (name: keyof typeof SYS): number[] => [0xb8, ...u32(SYS[name]), 0x0f, 0x05]; // mov eax, number; syscall

/** Where things stand behind rbx, the guard's table: a pollfd, the value -1, and one pair for each socket. */
const TABLE = { POLL: 0, SILENT: 8, COUNT: 12, SOCKETS: 16, PAIR: 8 } as const;

const WAIT_FOR_END = [
  ...load("setsid"),
  ...[0x48, 0x89, 0xdf], // mov rdi, rbx
  ...[0xbe, ...u32(1)], // mov esi, 1
  ...[0xba, ...u32(-1)], // mov edx, -1
  ...load("poll"),
];
/** setsockopt(fd, level, option, address, 4); the address stands in r10 already. */
const option = (level: number, name: number): number[] => [
  ...[0x8b, 0x7d, 0x00], // mov edi, [rbp]
  ...[0xbe, ...u32(level)], // mov esi, level
  ...[0xba, ...u32(name)], // mov edx, name
  ...[0x41, 0xb8, ...u32(4)], // mov r8d, 4
  ...load("setsockopt"),
];
const ONE = [
  ...[0x4c, 0x8d, 0x53, TABLE.SILENT], // lea r10, [rbx+SILENT]
  ...option(IPPROTO.IPPROTO_TCP, TCP_REPAIR),
  ...[0x4c, 0x8d, 0x55, 4], // lea r10, [rbp+4]
  ...option(SOL.SOL_SOCKET, SO.SO_REUSEADDR),
  ...[0x48, 0x83, 0xc5, TABLE.PAIR], // add rbp, 8
  ...[0x41, 0xff, 0xcc], // dec r12d
];
const GUARD = [
  ...WAIT_FOR_END,
  ...[0x48, 0x8d, 0x6b, TABLE.SOCKETS], // lea rbp, [rbx+SOCKETS]
  ...[0x44, 0x8b, 0x63, TABLE.COUNT], // mov r12d, [rbx+COUNT]
  ...[0x45, 0x85, 0xe4], // test r12d, r12d
  ...[0x74, ONE.length + 2], // jz past the loop
  ...ONE,
  ...[0x75, -(ONE.length + 2) & 255], // jnz to ONE
  ...[0x31, 0xff], // xor edi, edi
  ...load("exit_group"),
];
/** `start(flags, stack, table)`: the child goes on behind the call, the parent returns its id. */
const START = Uint8Array.of(
  ...[0x53], // push rbx
  ...[0x48, 0x89, 0xd3], // mov rbx, rdx
  ...[0x31, 0xd2], // xor edx, edx
  ...[0x45, 0x31, 0xd2], // xor r10d, r10d
  ...[0x45, 0x31, 0xc0], // xor r8d, r8d
  ...load("clone"),
  ...[0x48, 0x85, 0xc0], // test rax, rax
  ...[0x74, 0x02], // jz to the child's part
  ...[0x5b, 0xc3], // pop rbx; ret
  ...GUARD,
);
let start: ReturnType<typeof nativeFunction> | undefined;

const SIG_SETMASK = 2;
const ALL_SIGNALS = 0xffff_ffff_ffff_ffffn;

/** Sockets in repair mode for as long as the guard lives. */
export class RepairGuard implements Disposable {
  readonly #table: NativeBuffer;
  readonly #pidfd: number;
  #guard: number;

  /** `sockets`: descriptors of ours, with what SO_REUSEADDR was, which repair mode forgets. */
  constructor(sockets: readonly { readonly fd: number; readonly reuseAddress: number }[]) {
    this.#table = new NativeBuffer(TABLE.SOCKETS + sockets.length * TABLE.PAIR);
    const { bytes, address } = this.#table;
    this.#pidfd = call("pidfd_open", "Watching over ourselves", process.pid, 0);
    bytes.writeInt32LE(this.#pidfd, TABLE.POLL);
    bytes.writeInt16LE(1, TABLE.POLL + 4);
    bytes.writeInt32LE(-1, TABLE.SILENT);
    bytes.writeUInt32LE(sockets.length, TABLE.COUNT);
    sockets.forEach(({ fd, reuseAddress }, i) => {
      bytes.writeInt32LE(fd, TABLE.SOCKETS + i * TABLE.PAIR);
      bytes.writeInt32LE(reuseAddress, TABLE.SOCKETS + i * TABLE.PAIR + 4);
    });
    this.#guard = startQuietly(address);
  }

  /** The sockets are out of repair mode, or their programs have ended. */
  [Symbol.dispose](): void {
    if (this.#guard === 0) return;
    attempt("kill", this.#guard, 9);
    attempt("wait4", this.#guard, 0, WAIT.WCLONE, 0);
    this.#guard = 0;
    attempt("close", this.#pidfd);
    this.#table[Symbol.dispose]();
  }
}

/** No signal may run a handler of ours on the guard: it starts with all of them blocked. */
function startQuietly(table: number): number {
  start ??= nativeFunction("start_guard", START, 3);
  const run = start;
  return withStruct(16, (bytes, address) => {
    bytes.writeBigUInt64LE(ALL_SIGNALS, 0);
    call("rt_sigprocmask", "Blocking signals", SIG_SETMASK, address, address + 8, 8);
    try {
      // It has no use for a stack.
      const guard = run(CLONE.VM | CLONE.FILES, 0, table);
      if (guard < 0) throw new Error(`clone failed with ${guard}`);
      return guard;
    } finally {
      call("rt_sigprocmask", "Taking signals again", SIG_SETMASK, address + 8, 0, 8);
    }
  });
}
