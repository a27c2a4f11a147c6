/**
 * Restartable sequences (rseq(2), include/uapi/linux/rseq.h): where a thread's area is, and whether the thread stands
 * inside a critical section.
 */
import { attempt, withStruct } from "../sys/call.ts";
import { ERRNO } from "../abi/errno.ts";
import { PTRACE } from "../abi/ptrace.ts";
import type { Registers } from "../abi/registers.x86_64.ts";
import type { RemoteScope } from "./scope.ts";

export interface RseqRegistration {
  readonly address: number;
  readonly size: number;
  readonly signature: number;
}

/** struct rseq before it grew: the size that every kernel takes. */
const ORIGINAL_SIZE = 32;
const UNREGISTER = 1;
/** RSEQ_SIG of the C library on x86-64: the bytes before every abort handler. */
const SIGNATURE = 0x5305_3053;
/** C libraries keep the area in the thread's own block or right below it, at multiples of its alignment. */
const ALIGNMENT = 32;
const CANDIDATES = [...range(0x600, 0x1000), ...range(-0x400, 0)];
let lastFound: number | undefined;

function range(first: number, end: number): number[] {
  return Array.from({ length: (end - first) / ALIGNMENT }, (_, i) => first + i * ALIGNMENT);
}

/** What the kernel says: undefined when the thread has registered nothing or the kernel (before 5.13) does not tell. */
export function askRseq(tid: number): RseqRegistration | undefined {
  // struct ptrace_rseq_configuration
  return withStruct(24, (bytes, address) => {
    const got = attempt("ptrace", PTRACE.GET_RSEQ_CONFIGURATION, tid, 24, address);
    if (got < 24 || bytes.readBigUInt64LE(0) === 0n) return undefined;
    return {
      address: Number(bytes.readBigUInt64LE(0)),
      size: bytes.readUInt32LE(8),
      signature: bytes.readUInt32LE(12),
    };
  });
}

/** Whether {@link askRseq} can be relied upon. */
export function kernelTellsRseq(tid: number): boolean {
  return withStruct(24, (_bytes, address) => attempt("ptrace", PTRACE.GET_RSEQ_CONFIGURATION, tid, 24, address) >= 24);
}

/**
 * Finds the registration by asking to take it back with a wrong signature: EPERM when the address is the registered
 * one, EINVAL when it is not. Changes nothing either way.
 */
export function probeRseq(scope: RemoteScope): RseqRegistration | undefined {
  const base = Number(scope.registers.get("fs_base"));
  for (const offset of lastFound === undefined ? CANDIDATES : [lastFound, ...CANDIDATES]) {
    const address = base + offset;
    const answer = scope.attempt("rseq", address, ORIGINAL_SIZE, UNREGISTER, SIGNATURE ^ 0xff);
    if (answer !== -ERRNO.EPERM) continue;
    lastFound = offset;
    return { address, size: ORIGINAL_SIZE, signature: SIGNATURE };
  }
  return undefined;
}

/** Offset of rseq_cs, the pointer to struct rseq_cs, which is five words: version and flags, start, length, abort. */
const CRITICAL_SECTION = 8;

/**
 * The registers of a thread that stands inside a critical section, at its abort handler: that is where the kernel
 * takes it, because it has been interrupted. Undefined when it stands outside.
 */
export function abortedSection(tid: number, registers: Registers): Registers | undefined {
  // No system call is allowed inside.
  if (registers.getInt("orig_rax") >= 0) return undefined;
  const rip = registers.get("rip");
  const base = Number(registers.get("fs_base"));
  const known = askRseq(tid);
  const areas = known ? [known.address] : kernelTellsRseq(tid) ? [] : CANDIDATES.map((offset) => base + offset);
  for (const area of areas) {
    const section = readSection(tid, area);
    if (section && rip >= section.start && rip < section.end) return registers.clone().set("rip", section.abort);
  }
  return undefined;
}

function readSection(tid: number, area: number): { start: bigint; end: bigint; abort: bigint } | undefined {
  const pointer = peek(tid, area + CRITICAL_SECTION, 8)?.readBigUInt64LE(0) ?? 0n;
  const words = pointer === 0n ? undefined : peek(tid, Number(pointer), 32);
  // Flags once asked the kernel not to abort; whoever set them wants to stay.
  if (!words || words.readBigUInt64LE(0) !== 0n) return undefined;
  const start = words.readBigUInt64LE(8);
  return { start, end: start + words.readBigUInt64LE(16), abort: words.readBigUInt64LE(24) };
}

/** A few bytes of a tracee without opening anything (process_vm_readv(2)). */
function peek(tid: number, from: number, length: number): Buffer | undefined {
  return withStruct(32 + length, (bytes, address) => {
    bytes.writeBigUInt64LE(BigInt(address + 32), 0);
    bytes.writeBigUInt64LE(BigInt(length), 8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(from)), 16);
    bytes.writeBigUInt64LE(BigInt(length), 24);
    const got = attempt("process_vm_readv", tid, address, 1, address + 16, 1, 0);
    return got === length ? Buffer.from(bytes.subarray(32)) : undefined;
  });
}
