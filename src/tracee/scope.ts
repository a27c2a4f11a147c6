/** What a remote call looks like, whoever makes it: a stopped program (freeze) or a blank one (thaw). */
import { SyscallError } from "../sys/call.ts";
import type { Registers } from "../abi/registers.x86_64.ts";
import type { SyscallName } from "../abi/syscalls.x86_64.ts";
import type { RemoteAddress } from "../lib/brand.ts";
import type { TraceeMemory } from "./memory.ts";
import { Defect } from "../errors/wrong-input.ts";

/** One system call of a batch. */
export type Row = readonly [name: SyscallName, ...args: number[]];

/** Bytes of scratch memory that a scope lends for the structs of a remote call. */
export const SCRATCH_SIZE = 4096;

/** Bytes that the table of a batch may take behind the scratch memory of a running program. */
export const TABLE_SIZE = 96 * 64;

/**
 * A time during which system calls can be made inside one thread of a tracee. The thread's registers, signal mask
 * and memory are what they were when it ends.
 */
export abstract class RemoteScope {
  abstract readonly pid: number;
  abstract readonly tid: number;
  abstract readonly memory: TraceeMemory;
  /** The signals that the thread itself blocks; while the scope lasts, all are blocked. Bit 0 is signal 1. */
  abstract readonly blocked: bigint;
  /** The thread's own registers, as they were when the scope began. */
  abstract readonly registers: Registers;
  /** {@link SCRATCH_SIZE} bytes in the tracee for arguments and results. */
  abstract readonly scratch: RemoteAddress;

  /** Makes the system call in the tracee; returns its result or the negated errno. */
  abstract attempt(name: SyscallName, ...args: number[]): number;

  /** Makes many system calls; returns their results in order. A failure does not stop the others. */
  batch(rows: readonly Row[]): number[] {
    return rows.map(([name, ...args]) => this.attempt(name, ...args));
  }

  /** Begins to make many system calls and goes on without waiting; returns how to wait for their results. */
  begin(rows: readonly Row[]): () => number[] {
    const results = this.batch(rows);
    return () => results;
  }

  /** Makes many system calls and throws at the first that the kernel refused. */
  callAll(about: string, rows: readonly Row[]): void {
    this.batch(rows).forEach((result, i) => {
      if (result < 0 && result >= -4095) throw new SyscallError(rows[i]?.[0] ?? "?", result, about, this.pid);
    });
  }

  /** Makes the system call in the tracee; throws when the kernel refuses. */
  call(name: SyscallName, about: string, ...args: number[]): number {
    const result = this.attempt(name, ...args);
    if (result < 0 && result >= -4095) throw new SyscallError(name, result, about, this.pid);
    return result;
  }

  /**
   * A call after which no other kind of call is made in this thread: one that leaves behind what other calls would
   * stumble over.
   */
  lastCall(name: SyscallName, about: string, ...args: number[]): void {
    this.call(name, about, ...args);
  }

  /** What is wrong when so much is to go into scratch memory: whoever calls knows its size. */
  protected tooLarge(bytes: number): Error {
    return new Defect(`${bytes} bytes do not fit into scratch memory`);
  }

  /** Puts `bytes` into scratch memory, at an offset, and tells where they stand. */
  put(bytes: Buffer, offset = 0): RemoteAddress {
    if (offset + bytes.length > SCRATCH_SIZE) throw this.tooLarge(bytes.length);
    const address = (this.scratch + offset) as RemoteAddress;
    this.memory.write(address, bytes);
    return address;
  }

  /** Reads scratch memory back after a call has filled it. */
  take(length: number, offset = 0): Buffer {
    return this.memory.read((this.scratch + offset) as RemoteAddress, length);
  }
}
