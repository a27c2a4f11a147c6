/** System calls of our own process that throw, with their name and errno, when they fail. */
import { errnoName } from "../abi/errno.ts";
import { SYS, type SyscallName } from "../abi/syscalls.x86_64.ts";
import { KmonteError } from "../errors/failure.ts";
import { systemFailure } from "../lib/system-failure.ts";
import { NativeBuffer, syscall } from "./ffi.unsafe.ts";

/** A system call failed: in this process, or, with a pid, in a tracee on our behalf. */
export class SyscallError extends KmonteError {
  override readonly name = "SyscallError";
  readonly errno: string;

  constructor(name: string, result: number, about: string, pid?: number) {
    const errno = errnoName(result);
    const { code, what, why, remedy, facts } = systemFailure({ about, syscall: name, errno, pid });
    super(code, { what, why, remedy }, { facts });
    this.errno = errno;
  }
}

/** Makes the system call and returns its result; throws a {@link SyscallError} when the kernel refuses. */
export function call(name: SyscallName, about: string, ...args: number[]): number {
  const result = syscall(SYS[name], ...(args as [number]));
  if (result < 0 && result >= -4095) throw new SyscallError(name, result, about);
  return result;
}

/** Makes the system call and returns its result or negated errno, for callers that tell errors apart. */
export function attempt(name: SyscallName, ...args: number[]): number {
  return syscall(SYS[name], ...(args as [number]));
}

/** Scratch for the small structs that system calls take and fill, handed out like a stack. */
const SCRATCH_SIZE = 256 * 1024;
let scratch: NativeBuffer | undefined;
let scratchTop = 0;

/** Lends `use` a zeroed native buffer of `size` bytes, with its address, until `use` returns. */
export function withStruct<T>(size: number, use: (bytes: Buffer, address: number) => T): T {
  const start = scratchTop;
  const end = start + Math.ceil(size / 64) * 64;
  if (end > SCRATCH_SIZE) {
    using own = new NativeBuffer(size);
    return use(own.bytes.subarray(0, size), own.address);
  }
  scratchTop = end;
  scratch ??= new NativeBuffer(SCRATCH_SIZE);
  try {
    const bytes = scratch.bytes.subarray(start, start + size);
    bytes.fill(0);
    return use(bytes, scratch.address + start);
  } finally {
    scratchTop = start;
  }
}

/** Lends `use` the address of a NUL-terminated copy of `text`, until `use` returns. */
export function withText<T>(text: string | Buffer, use: (address: number) => T): T {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  return withStruct(bytes.length + 1, (buffer, address) => {
    bytes.copy(buffer);
    return use(address);
  });
}
