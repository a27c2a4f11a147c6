/** Waiting for a tracee to stop. */
import { attempt, withStruct } from "../sys/call.ts";
import { PTRACE } from "../abi/ptrace.ts";
import { SIGNAL } from "../abi/signal.ts";
import { WAIT, type WaitStatus } from "../abi/wait.ts";
import { wait4 } from "../sys/wait.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError } from "../errors/failure.ts";
import { hasEnded } from "../proc/read.ts";

const { SIGTRAP } = SIGNAL;

export type Stop = Extract<WaitStatus, { state: "stopped" }>;

/** A tracee ended while it was ours: killed from outside, most likely. */
export class TraceeGone extends KmonteError {
  override readonly name = "TraceeGone";
  readonly tid: number;

  constructor(tid: number) {
    const { code, what, why, remedy, facts } = failures.TRACEE_GONE({ tid });
    super(code, { what, why, remedy }, { facts });
    this.tid = tid;
  }
}

/** Waits until a task that has been killed has ended; false when that takes longer than `patience` milliseconds. */
export function awaitEnd(tid: number, patience: number): boolean {
  const deadline = Date.now() + patience;
  for (;;) {
    const status = wait4(tid, WAIT.WALL | WAIT.WNOHANG);
    if (status !== undefined && (typeof status === "number" || status.state !== "stopped")) return true;
    if (Date.now() >= deadline) return false;
    if (status === undefined) sleepMicroseconds(20);
  }
}

/** Looks once whether `tid` has stopped; undefined when it has not. */
function pollStop(tid: number): Stop | undefined {
  const status = wait4(tid, WAIT.WALL | WAIT.WNOHANG);
  if (status === undefined) return undefined;
  if (typeof status === "object" && status.state === "stopped") return status;
  throw new TraceeGone(tid);
}

/** Children that Node started and looks after: it may take the news of their stops before we do. */
const watchedByNode = new Set<number>();

export function expectNodeToWatch(pid: number): void {
  watchedByNode.add(pid);
}

/** Main threads of processes that have others. */
const withOthers = new Set<number>();

/**
 * The end of a main thread is told only when all other threads have been waited for, and those are ours to wait for:
 * whoever waits for it alone waits for ever when the whole process is killed.
 */
export function expectOthersBeside(pid: number): void {
  withOthers.add(pid);
}

/** Most stops come at once. */
const QUICK_LOOKS = 20;
/** How many looks, a moment apart, until it is asked whether the task lives at all. */
const PATIENT_LOOKS = 512;

/** Waits until `tid` stops, for at most `patience` milliseconds: then undefined. */
export function awaitStop(tid: number, patience: number): Stop | undefined {
  const deadline = performance.now() + patience;
  for (let looks = 0; ; looks += 1) {
    const stop = pollStop(tid) ?? (watchedByNode.has(tid) ? unreportedStop(tid) : undefined);
    if (stop || performance.now() > deadline) return stop;
    if (looks % PATIENT_LOOKS === PATIENT_LOOKS - 1 && hasEnded(tid)) throw new TraceeGone(tid);
    if (looks < QUICK_LOOKS) attempt("sched_yield");
    else sleepMicroseconds(30);
  }
}

/** Waits until `tid` stops, however long it takes: for tracees that are known to run towards a stop. */
export function waitForStop(tid: number): Stop {
  if (watchedByNode.has(tid) || withOthers.has(tid)) return awaitStop(tid, Number.POSITIVE_INFINITY) as Stop;
  const status = wait4(tid, WAIT.WALL);
  if (typeof status === "object" && status.state === "stopped") return status;
  throw new TraceeGone(tid);
}

/**
 * A stop that wait(2) does not tell of. When the tracee is a child that Node started, Node's own waitpid may have
 * taken the news; what stopped the tracee is then read from its siginfo (ptrace(2), PTRACE_GETSIGINFO).
 */
function unreportedStop(tid: number): Stop | undefined {
  const found = withStruct(128, (bytes, address) =>
    attempt("ptrace", PTRACE.GETSIGINFO, tid, 0, address) < 0
      ? undefined
      : { signal: bytes.readInt32LE(0), code: bytes.readInt32LE(8) },
  );
  if (!found) return undefined;
  // It may have stopped between our look and now: then the news are still there, and must not be met again later.
  const reported = pollStop(tid);
  if (reported) return reported;
  const isTrap = found.signal === SIGTRAP && found.code > 0 && (found.code & 0x7f) === SIGTRAP;
  return isTrap
    ? { state: "stopped", signal: found.code & 0xff, event: found.code >> 8 }
    : { state: "stopped", signal: found.signal, event: 0 };
}

/** Sleeps in the kernel for a number of microseconds, without returning to the event loop. */
export function sleepMicroseconds(microseconds: number): void {
  withStruct(16, (bytes, address) => {
    bytes.writeBigInt64LE(BigInt(Math.floor(microseconds / 1e6)), 0);
    bytes.writeBigInt64LE(BigInt(Math.round((microseconds % 1e6) * 1000)), 8);
    attempt("nanosleep", address, 0);
  });
}
