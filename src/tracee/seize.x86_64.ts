/**
 * PTRACE_SEIZE that does not wait without end. While another thread of the process is in execve(2) it waits until that
 * is over, and execve waits until all other threads have ended and been waited for. Those of them that kmonte traces
 * already nobody but kmonte can wait for, and it sleeps in PTRACE_SEIZE: both would for ever. The kernel begins such a
 * call again after each signal (ERESTARTNOINTR), so a timer's signal ends it, by a handler that steps over the call;
 * then kmonte waits for those threads, and asks again.
 */
import { ERRNO } from "../abi/errno.ts";
import { PTRACE } from "../abi/ptrace.ts";
import { NSIG, SA, SIGEV, SIGEVENT, SIGSET_SIZE } from "../abi/signal.ts";
import { UCONTEXT } from "../abi/sigframe.x86_64.ts";
import { SYS } from "../abi/syscalls.x86_64.ts";
import { CLOCK, encodeItimerspec, ITIMERSPEC_SIZE } from "../abi/time.ts";
import { WAIT } from "../abi/wait.ts";
import { readdirOrEmpty, readStat } from "../proc/read.ts";
import { attempt, withStruct } from "../sys/call.ts";
import { NativeBuffer } from "../sys/ffi.unsafe.ts";
import { wait4 } from "../sys/wait.ts";
import { trySeize } from "./ptrace.ts";
import { int32, JUMP, MachineCode } from "../sys/machine-code.x86_64.ts";
import { handlerAction } from "../sys/signal-handler.x86_64.ts";

/** Seizing takes microseconds: what is not done after that time waits for something. In nanoseconds. */
const LOOK_NS = 50_000_000n;
/** So many looks, and there is something else that it waits for. */
const MOST_LOOKS = 100;
/** The last of the real-time signals: neither the C library nor Node has a use for it. */
const SIGNAL_NUMBER = NSIG;

/**
 * The handler, `handle(signal, siginfo, ucontext)`: where the thread is about to make the system call PTRACE_SEIZE
 * (again), it goes on behind it, as if the kernel had answered EINTR.
 */
const HANDLER = new MachineCode()
  .emit(0x48, 0x81, 0xba, ...int32(UCONTEXT.RAX), ...int32(SYS.ptrace)) // cmp qword [rdx + RAX], ptrace
  .jump(JUMP.UNLESS_EQUAL, "end")
  .emit(0x48, 0x81, 0xba, ...int32(UCONTEXT.RDI), ...int32(PTRACE.SEIZE)) // cmp qword [rdx + RDI], PTRACE_SEIZE
  .jump(JUMP.UNLESS_EQUAL, "end")
  .emit(0x48, 0x8b, 0x82, ...int32(UCONTEXT.RIP)) // mov rax, [rdx + RIP]
  .emit(0x66, 0x81, 0x38, 0x0f, 0x05) // cmp word [rax], syscall
  .jump(JUMP.UNLESS_EQUAL, "end")
  .emit(0x48, 0xc7, 0x82, ...int32(UCONTEXT.RAX), ...int32(-ERRNO.EINTR)) // mov qword [rdx + RAX], -EINTR
  .emit(0x48, 0x83, 0x82, ...int32(UCONTEXT.RIP), 0x02) // add qword [rdx + RIP], 2
  .place("end")
  .emit(0xc3) // ret
  .build();

/** How long {@link Seizer.seize} asks, in milliseconds. */
export const SEIZE_PATIENCE_MS = Number(LOOK_NS / 1_000_000n) * MOST_LOOKS;

/** struct sigaction. */
let action: Buffer | undefined;

/** Seizes, on this thread, with a timer that ends what takes too long (timer_create(2)). */
export class Seizer implements Disposable {
  /** Undefined where the kernel makes none, as beyond RLIMIT_SIGPENDING: seizing goes on without. */
  readonly #timer: number | undefined;
  /** struct itimerspec, twice: how the timer is started, and how it is stopped. */
  readonly #times = new NativeBuffer(2 * ITIMERSPEC_SIZE);

  constructor() {
    this.#times.bytes.set(encodeItimerspec(LOOK_NS, LOOK_NS), 0);
    this.#timer = handleSignal() ? makeTimer() : undefined;
  }

  /**
   * PTRACE_SEIZE of a thread of `pid`: attaches without stopping. Returns 0 or a negated errno, since tasks may vanish
   * meanwhile; -EINTR when the process is in an execve(2) that does not get on.
   */
  seize(tid: number, options: number, pid: number): number {
    for (let looks = 1; ; looks += 1) {
      this.#set(0);
      const result = trySeize(tid, options);
      this.#set(ITIMERSPEC_SIZE);
      if (result !== -ERRNO.EINTR || looks === MOST_LOOKS) return result;
      reapEndedThreads(pid);
    }
  }

  #set(times: number): void {
    if (this.#timer !== undefined) attempt("timer_settime", this.#timer, 0, this.#times.address + times, 0);
  }

  [Symbol.dispose](): void {
    if (this.#timer !== undefined) attempt("timer_delete", this.#timer);
    this.#times[Symbol.dispose]();
  }
}

/** Whether the signal has its handler now (rt_sigaction(2)). */
function handleSignal(): boolean {
  const made = (action ??= handlerAction(HANDLER, SA.SA_SIGINFO | SA.SA_RESTART));
  return withStruct(made.length, (bytes, address) => {
    bytes.set(made);
    return attempt("rt_sigaction", SIGNAL_NUMBER, address, 0, SIGSET_SIZE) === 0;
  });
}

/** A timer that is not started, whose signal this thread gets. */
function makeTimer(): number | undefined {
  return withStruct(SIGEVENT.SIZE + 4, (bytes, address) => {
    bytes.writeInt32LE(SIGNAL_NUMBER, SIGEVENT.SIGNO);
    bytes.writeInt32LE(SIGEV.SIGEV_THREAD_ID, SIGEVENT.NOTIFY);
    bytes.writeInt32LE(attempt("gettid"), SIGEVENT.THREAD_ID);
    const result = attempt("timer_create", CLOCK.CLOCK_MONOTONIC, address, address + SIGEVENT.SIZE);
    return result < 0 ? undefined : bytes.readInt32LE(SIGEVENT.SIZE);
  });
}

/**
 * Waits for the ended threads of a process, of those that kmonte traces; not for its first: that is its parent's, who
 * may be us as well. An execve(2) of the process then goes on.
 */
export function reapEndedThreads(pid: number): void {
  for (const name of readdirOrEmpty(`/proc/${pid}/task`)) {
    const tid = Number(name);
    if (tid !== pid && readStat(tid)?.state === "Z") wait4(tid, WAIT.WALL | WAIT.WNOHANG);
  }
}
