/**
 * Many short system calls on one descriptor of ours in one go. The way from JavaScript to the kernel costs several times
 * what such a call itself does, and a socket is asked for a hundred things.
 */
import { SYS, type SyscallName } from "../abi/syscalls.x86_64.ts";
import { NativeBuffer, nativeFunction } from "./ffi.unsafe.ts";
import { Defect } from "../errors/wrong-input.ts";

/** One call behind rbx: its number, the arguments after the descriptor, and what it answered. */
const ENTRY = { NUMBER: 0, ARGUMENTS: 8, RESULT: 40, SIZE: 48 } as const;
const MOST_ARGUMENTS = 4;

const LOOP = [
  ...[0x48, 0x8b, 0x03], // mov rax, [rbx]
  ...[0x4c, 0x89, 0xef], // mov rdi, r13
  ...[0x48, 0x8b, 0x73, 0x08], // mov rsi, [rbx+8]
  ...[0x48, 0x8b, 0x53, 0x10], // mov rdx, [rbx+16]
  ...[0x4c, 0x8b, 0x53, 0x18], // mov r10, [rbx+24]
  ...[0x4c, 0x8b, 0x43, 0x20], // mov r8, [rbx+32]
  ...[0x0f, 0x05], // syscall
  ...[0x48, 0x89, 0x43, ENTRY.RESULT], // mov [rbx+RESULT], rax
  ...[0x48, 0x83, 0xc3, ENTRY.SIZE], // add rbx, SIZE
  ...[0x49, 0xff, 0xcc], // dec r12
];
/** `run(table, count, fd)`; `count` is not zero. */
const RUN = Uint8Array.of(
  ...[0x53, 0x41, 0x54, 0x41, 0x55], // push rbx; push r12; push r13
  ...[0x48, 0x89, 0xfb], // mov rbx, rdi
  ...[0x49, 0x89, 0xf4], // mov r12, rsi
  ...[0x49, 0x89, 0xd5], // mov r13, rdx
  ...LOOP,
  ...[0x75, -(LOOP.length + 2) & 255], // jnz to LOOP
  ...[0x41, 0x5d, 0x41, 0x5c, 0x5b], // pop r13; pop r12; pop rbx
  ...[0x31, 0xc0, 0xc3], // xor eax, eax; ret
);
let run: ReturnType<typeof nativeFunction> | undefined;

/** Calls that are made again and again; all get the same first argument, the descriptor. */
export class CallSeries {
  readonly #table: NativeBuffer;
  readonly #count: number;

  constructor(calls: readonly (readonly [name: SyscallName, ...rest: number[]])[]) {
    this.#table = new NativeBuffer(calls.length * ENTRY.SIZE);
    this.#count = calls.length;
    calls.forEach(([name, ...rest], i) => {
      if (rest.length > MOST_ARGUMENTS) throw new Defect(`${name} with ${rest.length} arguments`);
      const at = i * ENTRY.SIZE;
      this.#table.bytes.writeBigInt64LE(BigInt(SYS[name]), at + ENTRY.NUMBER);
      rest.forEach((value, place) =>
        this.#table.bytes.writeBigInt64LE(BigInt(value), at + ENTRY.ARGUMENTS + place * 8),
      );
    });
  }

  run(fd: number): void {
    run ??= nativeFunction("run_calls", RUN, 3);
    if (this.#count > 0) run(this.#table.address, this.#count, fd);
  }

  /** The result of one call, or its negated errno; none of them answers with more than 32 bits. */
  result(index: number): number {
    return this.#table.bytes.readInt32LE(index * ENTRY.SIZE + ENTRY.RESULT);
  }
}
