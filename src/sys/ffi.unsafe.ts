/**
 * The one way to the machine: a raw system call, made from JavaScript through koffi. Nothing else imports koffi.
 *
 * Unsafe because a wrong address is a crash of this process: callers pass addresses of {@link NativeBuffer}s only.
 */
import { createRequire } from "node:module";
import type Koffi from "koffi";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { failures } from "../errors/catalogue.ts";

/**
 * A function of the C calling convention that moves its seven arguments to where the kernel expects a system call's
 * number and six arguments, and returns rax as the kernel left it: a result, or a negated errno.
 */
const SYSCALL_STUB = Uint8Array.of(
  ...[0x48, 0x89, 0xf8], // mov rax, rdi
  ...[0x48, 0x89, 0xf7], // mov rdi, rsi
  ...[0x48, 0x89, 0xd6], // mov rsi, rdx
  ...[0x48, 0x89, 0xca], // mov rdx, rcx
  ...[0x4d, 0x89, 0xc2], // mov r10, r8
  ...[0x4d, 0x89, 0xc8], // mov r8, r9
  ...[0x4c, 0x8b, 0x4c, 0x24, 0x08], // mov r9, [rsp+8]
  ...[0x0f, 0x05], // syscall
  0xc3, // ret
);

let loaded: typeof Koffi | undefined;

/** Loaded when the first system call is made: a start-up snapshot can hold no binary. */
function koffi(): typeof Koffi {
  return (loaded ??= createRequire(import.meta.url)("koffi") as typeof Koffi);
}

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;

type RawFunction = (...args: number[]) => number;

/** Puts machine code, position-independent and of a page at most, where it can be executed. */
function executable(code: Uint8Array): unknown {
  const libc = koffi().load(null);
  const mmap = libc.func("void *mmap(int64_t, size_t, int, int, int, int64_t)");
  const mprotect = libc.func("int mprotect(void *, size_t, int)");
  const page = mmap(0, PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0) as unknown;
  new Uint8Array(koffi().view(page, PAGE)).set(code);
  if (mprotect(page, PAGE, PROT_READ_EXEC) !== 0) throw failures.NO_EXECUTABLE_MEMORY();
  return page;
}

/** The same for what the kernel calls by itself, such as a signal handler: its address. It stays for good. */
export function nativeCode(code: Uint8Array): number {
  return Number(koffi().address(executable(code)));
}

/**
 * Makes machine code callable: position-independent, of the C calling convention, with `parameters` 64-bit integers
 * and a 64-bit result.
 */
export function nativeFunction(name: string, code: Uint8Array, parameters: number): RawFunction {
  const signature = `int64_t ${name}(${Array.from({ length: parameters }, () => "int64_t").join(", ")})`;
  return koffi().decode(executable(code), koffi().proto(signature)) as RawFunction;
}

let raw: RawFunction | undefined;

/**
 * Makes a system call in this process, on this thread. Returns the result, or the negated errno.
 * Addresses and lengths must be safe integers: user-space addresses have 47 bits.
 */
export function syscall(nr: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
  raw ??= nativeFunction("raw_syscall", SYSCALL_STUB, 7);
  return raw(nr, a, b, c, d, e, f);
}

/** Memory outside the JavaScript heap, at an address that stays the same until it is disposed of. */
export class NativeBuffer implements Disposable {
  readonly address: number;
  readonly size: number;
  readonly bytes: Buffer;

  /** Maps `size` bytes, rounded up to whole pages, all zero. */
  constructor(size: number, prot: number = PROT_READ_WRITE) {
    this.size = Math.ceil(size / PAGE) * PAGE;
    const address = syscall(SYS.mmap, 0, this.size, prot | PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
    if (address < 0) {
      throw failures.OUT_OF_MEMORY.ofKmonte({ size: this.size, errno: -address });
    }
    this.address = address;
    this.bytes = Buffer.from(koffi().view(BigInt(address), this.size));
  }

  [Symbol.dispose](): void {
    syscall(SYS.munmap, this.address, this.size);
  }
}

/** A view of memory of this process that is mapped already. It must not be used after the memory has gone. */
export function viewMemory(address: number, size: number): Buffer {
  return Buffer.from(koffi().view(BigInt(address), size));
}
