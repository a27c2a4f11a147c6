/** Signals of x86-64 by name (signal(7), arch/x86/include/uapi/asm/signal.h). */
import { InconsistentImage } from "../errors/wrong-input.ts";

export const SIGNAL = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const;

/** The kernel's count of signals; also the highest number. */
export const NSIG = 64;
export const SIGSET_SIZE = 8;
/** Struct siginfo_t, in bytes (sigaction(2)). */
export const SIGINFO_SIZE = 128;

const NAMES = new Map<number, string>(Object.entries(SIGNAL).map(([name, number]) => [number, name]));

/** `SIGTERM`, or `SIGRT32` to `SIGRT64` by the kernel's numbers. */
export function signalName(number: number): string {
  return NAMES.get(number) ?? `SIGRT${number}`;
}

/** The number of a name that {@link signalName} gave. */
export function signalNumber(name: string): number {
  const number = (SIGNAL as Readonly<Record<string, number>>)[name] ?? Number(/^SIGRT(\d+)$/.exec(name)?.[1]);
  if (!Number.isInteger(number) || number < 1 || number > NSIG) throw new InconsistentImage(`unknown signal ${name}`);
  return number;
}

/** The names of the signals in a 64-bit set; bit 0 is signal 1. */
export function signalsInMask(mask: bigint): string[] {
  const names: string[] = [];
  if (mask === 0n) return names;
  for (let number = 1; number <= NSIG; number += 1) {
    if (mask & (1n << BigInt(number - 1))) names.push(signalName(number));
  }
  return names;
}

export function maskOfSignals(names: readonly string[]): bigint {
  return names.reduce((mask, name) => mask | (1n << BigInt(signalNumber(name) - 1)), 0n);
}

/** sa_flags of sigaction(2). */
export const SA = {
  SA_NOCLDSTOP: 1,
  SA_NOCLDWAIT: 2,
  SA_SIGINFO: 4,
  SA_EXPOSE_TAGBITS: 0x800,
  SA_RESTORER: 0x0400_0000,
  SA_ONSTACK: 0x0800_0000,
  SA_RESTART: 0x1000_0000,
  SA_NODEFER: 0x4000_0000,
  SA_RESETHAND: 0x8000_0000,
} as const;

/** The kernel's struct sigaction: handler, flags, restorer, mask, 8 bytes each. */
export const KERNEL_SIGACTION_SIZE = 32;

export const SIG_SETMASK = 2;

/** include/uapi/asm-generic/siginfo.h */
export const SIGEV = { SIGEV_SIGNAL: 0, SIGEV_NONE: 1, SIGEV_THREAD: 2, SIGEV_THREAD_ID: 4 } as const;
/** Offsets in struct sigevent, and its size; the thread is of SIGEV_THREAD_ID. */
export const SIGEVENT = { SIGNO: 8, NOTIFY: 12, THREAD_ID: 16, SIZE: 64 } as const;
