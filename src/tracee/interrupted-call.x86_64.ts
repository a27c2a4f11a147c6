/**
 * System calls that our stop has broken off, told from the registers of a stopped thread (signal(7), "Interruption of
 * system calls and library functions by signal handlers"; restart_syscall(2)).
 */
import { ERRNO, RESTART } from "../abi/errno.ts";
import type { RegisterName, Registers } from "../abi/registers.x86_64.ts";
import { SYS, type SyscallName } from "../abi/syscalls.x86_64.ts";
import { remoteAddress } from "../lib/brand.ts";
import type { TraceeMemory } from "./memory.ts";

/**
 * Calls that answer EINTR to every interruption, be it for a handler or not, and have done nothing when they do. Not
 * among them: close(2), whose EINTR comes after the deed.
 */
const ANSWER_EINTR: readonly SyscallName[] = [
  ...(["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"] as const),
  ...(["semop", "semtimedop", "msgrcv", "msgsnd", "mq_timedreceive", "mq_timedsend"] as const),
  ...(["rt_sigtimedwait", "rt_sigsuspend", "pause", "nanosleep", "clock_nanosleep"] as const),
  ...(["io_getevents", "io_pgetevents", "io_uring_enter", "futex", "futex_waitv"] as const),
  ...(["read", "readv", "write", "writev", "accept", "accept4", "connect"] as const),
  ...(["recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"] as const),
];
const ANSWER_EINTR_NUMBERS = new Set<number>(ANSWER_EINTR.map((name) => SYS[name]));

/**
 * What the registers of a thread that we have just stopped must be so that it does not see the interruption;
 * undefined when they are right as they are. ERESTARTNOHAND is the kernel's own word for it: EINTR when a handler
 * runs, and otherwise the call again.
 */
export function withoutInterruption(registers: Registers): Registers | undefined {
  if (registers.getInt("rax") !== -ERRNO.EINTR) return undefined;
  if (!ANSWER_EINTR_NUMBERS.has(registers.getInt("orig_rax"))) return undefined;
  return registers.clone().set("rax", -RESTART.ERESTARTNOHAND);
}

/** Calls that the kernel goes on with through restart_syscall(2), because their time has to go on too. */
export const RESUMED_CALLS = [
  "nanosleep",
  "clock_nanosleep",
  "poll",
  "futex",
] as const satisfies readonly SyscallName[];
export type ResumedCall = (typeof RESUMED_CALLS)[number];

/** Calls that write the time that is left over the time that they were given, and then are simply made again. */
export const REWRITING_CALLS = ["ppoll", "pselect6", "select"] as const satisfies readonly SyscallName[];
export type RewritingCall = (typeof REWRITING_CALLS)[number];

export interface InterruptedCall<Name extends SyscallName = ResumedCall> {
  readonly name: Name;
  readonly args: readonly bigint[];
}

const ARGUMENTS: readonly RegisterName[] = ["rdi", "rsi", "rdx", "r10", "r8", "r9"];

/** Whether the thread would go on through restart_syscall(2). */
export function isResumed(registers: Registers): boolean {
  return registers.getInt("orig_rax") >= 0 && registers.getInt("rax") === -RESTART.ERESTART_RESTARTBLOCK;
}

/**
 * The call that the thread would go on with through restart_syscall(2): undefined when there is none, `'unknown'` when
 * it has been interrupted before (its number has then made room for that of restart_syscall) and nothing tells which.
 */
export function resumedCall(registers: Registers, memory: TraceeMemory): InterruptedCall | "unknown" | undefined {
  if (!isResumed(registers)) return undefined;
  const args = ARGUMENTS.map((name) => registers.get(name));
  const nr = registers.getInt("orig_rax");
  const name =
    nr === SYS.restart_syscall
      ? (nameFromCode(registers, memory) ?? nameFromArguments(args))
      : RESUMED_CALLS.find((candidate) => SYS[candidate] === nr);
  return name ? { name, args } : "unknown";
}

/** The call with a rewritten time that the thread would make again; undefined when there is none. */
export function rewritingCall(registers: Registers): InterruptedCall<RewritingCall> | undefined {
  if (registers.getInt("rax") !== -RESTART.ERESTARTNOHAND) return undefined;
  const name = REWRITING_CALLS.find((candidate) => SYS[candidate] === registers.getInt("orig_rax"));
  return name && { name, args: ARGUMENTS.map((argument) => registers.get(argument)) };
}

/** Bytes before a `syscall` instruction in which its number is loaded as a rule. */
const CODE_WINDOW = 64;

/** The last `mov $number, %eax` before the system call's instruction. */
function nameFromCode(registers: Registers, memory: TraceeMemory): ResumedCall | undefined {
  const rip = Number(registers.get("rip"));
  let code: Buffer;
  try {
    code = memory.read(remoteAddress(rip - CODE_WINDOW), CODE_WINDOW);
  } catch {
    return undefined;
  }
  for (let at = code.lastIndexOf(0xb8, -7); at >= 0; at = at === 0 ? -1 : code.lastIndexOf(0xb8, at - 1)) {
    const number = code.readUInt32LE(at + 1);
    const name = RESUMED_CALLS.find((candidate) => SYS[candidate] === number);
    if (name) return name;
  }
  return undefined;
}

const LOWEST_POINTER = 0x1_0000n;
const FUTEX_COMMAND = 0x7fn;
const FUTEX_WAITS = [0n, 9n];
/** FUTEX_PRIVATE_FLAG; fewer descriptors than this are polled as a rule. */
const FUTEX_PRIVATE = 0x80n;

/** The number came from a register (syscall(2)): the arguments differ enough. */
function nameFromArguments(args: readonly bigint[]): ResumedCall | undefined {
  const [a = 0n, b = 0n, c = 0n, d = 0n] = args;
  const pointer = (value: bigint): boolean => value >= LOWEST_POINTER;
  if (!pointer(a))
    return a <= 11n && b === 0n && pointer(c) ? "clock_nanosleep" : a === 0n && b === 0n ? "poll" : undefined;
  if (pointer(b)) return "nanosleep";
  if (FUTEX_WAITS.includes(b & FUTEX_COMMAND) && pointer(d)) return b >= FUTEX_PRIVATE ? "futex" : undefined;
  return b === 0n ? undefined : "poll";
}
