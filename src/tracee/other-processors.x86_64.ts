/**
 * Threads that keep every other processor busy for the microseconds of one step (resume-meanwhile.x86_64.ts), so that
 * nobody else runs meanwhile. Each is bound to its processor, has a real-time priority (sched(7)) and waits in futex(2);
 * between two steps it costs nothing. They run machine code alone, and use neither a stack nor the C library.
 */
import { raisePriority, trySetAffinity } from "../sys/affinity.ts";
import { attempt, withStruct } from "../sys/call.ts";
import { CLONE, CLONE_ARGS_SIZE, encodeCloneArgs } from "../abi/clone.ts";
import { ERRNO } from "../abi/errno.ts";
import { NativeBuffer, nativeFunction } from "../sys/ffi.unsafe.ts";
import { FUTEX } from "../abi/futex.ts";
import { withAllSignalsBlocked } from "../sys/signal.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { int32, JUMP, MachineCode } from "../sys/machine-code.x86_64.ts";
import { sleepMicroseconds } from "./stops.ts";

/** What the 32-bit word at the beginning of their memory tells all threads. */
export const ORDER = { WAIT: 0, RUN: 1, END: 2 } as const;
/** What each thread's own 32-bit word tells: it has its processor, or has had it for as long as it may. */
export const HERE = { NO: 0, YES: 1, TOO_LONG: 2 } as const;
/** The size of a cache line: the first one holds the order, each further one what belongs to a thread. */
export const LINE = 64;
/** The place of a thread's id in its line: the kernel writes 0 there when the thread has ended. */
const ID_AT = 8;
/** Above all others, below what the kernel needs to stop a processor. */
export const PRIORITY = 98;

/**
 * How often a thread looks whether it may go, some tens of cycles apart: a few milliseconds. Whoever holds something
 * that the step waits for gets its processor back then.
 */
const MOST_LOOKS = 200_000;
/** How many ids are tried for a thread: each was free a moment ago. */
const MOST_IDS = 16;
const LONGEST_END_MS = 1000;
const PAUSE_US = 50;

/** futex(2) on the order, whose address is in r12; a wait has no end. */
export const onOrder = (code: MachineCode, operation: number, value: number): MachineCode =>
  code
    .emit(0x4c, 0x89, 0xe7) // mov rdi, r12
    .emit(0xbe, ...int32(operation | FUTEX.PRIVATE_FLAG)) // mov esi, operation
    .emit(0xba, ...int32(value)) // mov edx, value
    .emit(0x45, 0x31, 0xd2) // xor r10d, r10d
    .call(SYS.futex);

/** `start(args, own, order)`: clone3(2); answers the thread's id, or a negated errno. */
function startCode(): Buffer {
  const code = new MachineCode()
    .emit(0x53, 0x41, 0x54) // push rbx; push r12
    .emit(0x48, 0x89, 0xf3) // mov rbx, rsi
    .emit(0x49, 0x89, 0xd4) // mov r12, rdx
    .emit(0xbe, ...int32(CLONE_ARGS_SIZE)) // mov esi, CLONE_ARGS_SIZE
    .call(SYS.clone3)
    .emit(0x48, 0x85, 0xc0) // test rax, rax
    .jump(JUMP.IF_EQUAL, "begin")
    .emit(0x41, 0x5c, 0x5b, 0xc3) // pop r12; pop rbx; ret
    .place("begin")
    .emit(0x41, 0x8b, 0x04, 0x24) // mov eax, [r12]
    .emit(0x83, 0xf8, ORDER.RUN) // cmp eax, RUN
    .jump(JUMP.IF_EQUAL, "run")
    .emit(0x83, 0xf8, ORDER.END) // cmp eax, END
    .jump(JUMP.IF_EQUAL, "end");
  onOrder(code, FUTEX.WAIT, ORDER.WAIT)
    .jump(JUMP.ALWAYS, "begin")
    .place("run")
    .emit(0xc7, 0x03, ...int32(HERE.YES)) // mov dword [rbx], YES
    .emit(0xb9, ...int32(MOST_LOOKS)) // mov ecx, MOST_LOOKS
    .place("look")
    .emit(0xf3, 0x90) // pause
    .emit(0x41, 0x83, 0x3c, 0x24, ORDER.RUN) // cmp dword [r12], RUN
    .jump(JUMP.UNLESS_EQUAL, "leave")
    .emit(0xff, 0xc9) // dec ecx
    .jump(JUMP.UNLESS_EQUAL, "look")
    .emit(0xc7, 0x03, ...int32(HERE.TOO_LONG)) // mov dword [rbx], TOO_LONG
    .place("late");
  return onOrder(code, FUTEX.WAIT, ORDER.RUN)
    .emit(0x41, 0x83, 0x3c, 0x24, ORDER.RUN) // cmp dword [r12], RUN
    .jump(JUMP.IF_EQUAL, "late")
    .place("leave")
    .emit(0xc7, 0x03, ...int32(HERE.NO)) // mov dword [rbx], NO
    .jump(JUMP.ALWAYS, "begin")
    .place("end")
    .emit(0x31, 0xff) // xor edi, edi
    .call(SYS.exit)
    .build();
}
let start: ReturnType<typeof nativeFunction> | undefined;

const FLAGS = CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD | CLONE.SYSVSEM | CLONE.CHILD_CLEARTID;

export class OtherProcessors implements Disposable {
  readonly #memory: NativeBuffer;
  /** How many threads there are: fewer than processors where no more can be made. */
  readonly count: number;

  /** A thread for each of `cpus`, with an id of `ids`. */
  constructor(cpus: readonly number[], ids: Iterator<number, never>) {
    this.#memory = new NativeBuffer(LINE * (cpus.length + 1));
    let count = 0;
    for (const cpu of cpus) {
      const tid = this.#start(this.#line(count), ids);
      if (tid < 0) break;
      count += 1;
      trySetAffinity(tid, [cpu]);
      raisePriority(tid, PRIORITY);
    }
    this.count = count;
  }

  /** The address of the word that all obey; the threads' own words follow, each in a line of its own. */
  get order(): number {
    return this.#memory.address;
  }

  #line(index: number): number {
    return this.#memory.address + LINE * (index + 1);
  }

  #start(own: number, ids: Iterator<number, never>): number {
    start ??= nativeFunction("start_thread", startCode(), 3);
    const run = start;
    const at = own - this.#memory.address + ID_AT;
    return withStruct(CLONE_ARGS_SIZE + 4, (bytes, address) => {
      const setTid = address + CLONE_ARGS_SIZE;
      // The stack is never touched, but without one the thread would have ours.
      const stack = { stack: own, stackSize: LINE };
      encodeCloneArgs({ flags: FLAGS, exitSignal: 0, ...stack, childTid: own + ID_AT, setTid, setTidSize: 1 }).copy(
        bytes,
      );
      for (let tries = 0; tries < MOST_IDS; tries += 1) {
        const id = ids.next().value;
        bytes.writeInt32LE(id, CLONE_ARGS_SIZE);
        this.#memory.bytes.writeInt32LE(id, at);
        const result = withAllSignalsBlocked(() => run(address, own, this.order));
        if (result !== -ERRNO.EEXIST) return result;
      }
      return -ERRNO.EEXIST;
    });
  }

  /** Ends the threads, and unmaps their memory when they have left it. */
  [Symbol.dispose](): void {
    const { bytes } = this.#memory;
    bytes.writeInt32LE(ORDER.END, 0);
    attempt("futex", this.order, FUTEX.WAKE | FUTEX.PRIVATE_FLAG, this.count, 0, 0, 0);
    const end = Date.now() + LONGEST_END_MS;
    for (let i = 0; i < this.count; i += 1) {
      while (bytes.readInt32LE(LINE * (i + 1) + ID_AT) !== 0) {
        if (Date.now() > end) return;
        sleepMicroseconds(PAUSE_US);
      }
    }
    this.#memory[Symbol.dispose]();
  }
}
