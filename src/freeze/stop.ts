/** Stopping a set of processes, all threads and all descendants, without their knowing: PTRACE_SEIZE and _INTERRUPT. */
import { readFileSync } from "node:fs";
import { ERRNO, errnoName } from "../abi/errno.ts";
import { PTRACE_EVENT, PTRACE_O } from "../abi/ptrace.ts";
import { CLOCK, clockNow } from "../abi/time.ts";
import { SIGNAL, signalName } from "../abi/signal.ts";
import { KmonteError, Refusal } from "../lib/errors.ts";
import { childrenOf, readdirOrEmpty, readStat } from "../proc/read.ts";
import { parseStatus, type ProcessStat } from "../proc/status.ts";
import { endAll } from "../tracee/end-all.x86_64.ts";
import { detach, interrupt, resume, trySeize } from "../tracee/ptrace.ts";
import { settleThread, standsInVdso } from "./settle.ts";
import { correctSleep, measureSleeps } from "./sleepers.ts";
import { awaitStop, expectNodeToWatch, pollStop, sleepMicroseconds, TraceeGone, type Stop } from "../tracee/stops.ts";

/** Seccomp filters of the program do not apply to calls that we make in it; needs CAP_SYS_ADMIN. */
const OPTIONS = PTRACE_O.TRACESYSGOOD | PTRACE_O.SUSPEND_SECCOMP;
/** A task in an uninterruptible sleep gets this long to come out of it. */
const STOP_DEADLINE_MS = 10_000;
/** A program that does nothing but ask for the time is outside the vDSO one time in five or so. */
const MOST_TRIES = 400;

export interface StoppedThread {
  readonly tid: number;
  /** CLOCK_MONOTONIC when we saw it stop. */
  readonly stoppedAt: bigint;
  /** The signal of the group stop that the thread was in before we came, if any. */
  readonly groupStop: string | undefined;
}

export interface StoppedProcess {
  readonly pid: number;
  readonly stat: ProcessStat;
  readonly zombie: boolean;
  readonly threads: StoppedThread[];
}

/** Processes that stand still until {@link StoppedSet.release}. */
export class StoppedSet implements Disposable {
  readonly processes = new Map<number, StoppedProcess>();
  readonly #seized = new Set<number>();
  #sleepsUntil: ReadonlyMap<number, bigint> = new Map();

  /** Seizes and stops the processes with everything below them; on failure, lets all go on and throws. */
  static stop(roots: readonly number[]): StoppedSet {
    const set = new StoppedSet();
    try {
      set.#stopAll(roots);
      set.#measureSleeps();
      // A sleeper whose time ended meanwhile may have made a thread or a child.
      set.#stopAll(roots);
      return set;
    } catch (error) {
      set.release();
      throw error;
    }
  }

  /** When, on our CLOCK_MONOTONIC, the relative sleep that a thread is in ends; undefined when nothing tells. */
  sleepsUntil(tid: number): bigint | undefined {
    return this.#sleepsUntil.get(tid);
  }

  #measureSleeps(): void {
    const free = [...this.processes.values()].flatMap((process) =>
      process.threads
        .filter((thread) => thread.groupStop === undefined)
        .map(({ tid, stoppedAt }) => ({ tid, stoppedAt, process, pid: process.pid })),
    );
    const processOf = new Map(free.map(({ tid, process }) => [tid, process]));
    this.#sleepsUntil = measureSleeps(free, {
      run: (tids) => {
        for (const tid of tids) if (this.#seized.has(tid)) resume("CONT", tid);
        for (const tid of tids) awaitSleep(tid);
      },
      halt: (tids) => {
        const running = tids.filter((tid) => this.#seized.has(tid));
        for (const tid of running) interrupt(tid);
        for (const tid of running) this.#awaitStop(processOf.get(tid) as StoppedProcess, tid);
      },
    });
  }

  get threadCount(): number {
    return this.#seized.size;
  }

  #stopAll(roots: readonly number[]): void {
    for (const pid of roots) this.#takeProcess(pid);
    // A program that forks or starts threads while we look is looked at again, until nothing new appears. Whoever has
    // been stopped cannot make more, so this ends.
    for (let before = -1; before !== this.#seized.size + this.processes.size;) {
      before = this.#seized.size + this.processes.size;
      for (const process of [...this.processes.values()]) {
        if (process.zombie) continue;
        this.#takeThreads(process);
        for (const child of childrenOf(process.pid)) if (!this.processes.has(child)) this.#takeProcess(child);
      }
    }
  }

  #takeProcess(pid: number): void {
    if (this.processes.has(pid)) return;
    const stat = readStat(pid);
    if (!stat) return;
    if (stat.ppid === globalThis.process.pid) expectNodeToWatch(pid);
    const process = { pid, stat, zombie: stat.state === "Z" && stat.threads <= 1, threads: [] };
    if (!process.zombie) this.#takeThreads(process);
    this.processes.set(pid, process);
  }

  #takeThreads(process: StoppedProcess): void {
    const fresh: number[] = [];
    for (const name of readdirOrEmpty(`/proc/${process.pid}/task`)) {
      const tid = Number(name);
      if (this.#seized.has(tid)) continue;
      if (!this.#seize(process, tid)) continue;
      fresh.push(tid);
    }
    for (const tid of fresh) interrupt(tid);
    for (const tid of fresh) {
      const groupStop = this.#awaitStop(process, tid);
      if (this.#seized.has(tid)) process.threads.push({ tid, groupStop, stoppedAt: clockNow(CLOCK.CLOCK_MONOTONIC) });
    }
  }

  #seize(process: StoppedProcess, tid: number): boolean {
    let result = trySeize(tid, OPTIONS);
    if (result === -ERRNO.EPERM) result = trySeize(tid, PTRACE_O.TRACESYSGOOD);
    if (result >= 0) {
      this.#seized.add(tid);
      return true;
    }
    if (result === -ERRNO.ESRCH) return false;
    const state = readStat(tid)?.state;
    if (state === undefined || state === "Z" || state === "X") {
      // A thread that is ending counts no more; the first thread keeps its place until all others have ended.
      if (tid === process.pid && threadsOf(tid) > 1) throw leaderEnded(process);
      return false;
    }
    throw cannotSeize(process, tid, result);
  }

  #awaitStop(process: StoppedProcess, tid: number): string | undefined {
    for (let tries = 0; ;) {
      let stop: Stop | undefined;
      try {
        stop = awaitStop(tid, STOP_DEADLINE_MS);
      } catch (error) {
        if (!(error instanceof TraceeGone)) throw error;
        this.#seized.delete(tid);
        return undefined;
      }
      if (!stop) throw doesNotStop(process, tid);
      if (stop.event === PTRACE_EVENT.STOP) {
        if (stop.signal !== SIGNAL.SIGTRAP) return signalName(stop.signal);
        if (!standsInVdso(tid)) {
          settleThread(tid);
          return undefined;
        }
        // It is in there for some nanoseconds only: another moment will be better. Stepping would take it out for
        // certain, but a death of ours between two steps would be its own.
        if ((tries += 1) > MOST_TRIES) throw staysInVdso(process, tid);
        resume("CONT", tid);
        sleepMicroseconds(tries % 20);
        interrupt(tid);
        continue;
      }
      // A signal on its way to the program: it is delivered, and our own stop comes right after.
      resume("CONT", tid, stop.event === 0 ? stop.signal : 0);
    }
  }

  /** Lets all go on, as if nothing had happened. Those that were stopped before stay stopped. */
  release(): void {
    for (const { pid, threads } of this.processes.values()) {
      for (const { tid } of threads) {
        const until = this.#seized.has(tid) ? this.#sleepsUntil.get(tid) : undefined;
        if (until !== undefined) correctSleep(pid, tid, until);
      }
    }
    for (const tid of this.#seized) detach(tid);
    this.#seized.clear();
  }

  /** Ends all processes for good, and waits until they have gone. */
  kill(): void {
    const living = [...this.processes.values()].filter((process) => !process.zombie);
    endAll(living.map(({ pid }) => pid));
    // The main thread can be waited for only when all others have been.
    for (const { pid, threads } of living) {
      for (const { tid } of threads) if (tid !== pid) waitUntilGone(tid);
      waitUntilGone(pid);
    }
    this.#seized.clear();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

function waitUntilGone(tid: number): void {
  const deadline = Date.now() + STOP_DEADLINE_MS;
  try {
    while (Date.now() < deadline) {
      if (!pollStop(tid)) sleepMicroseconds(20);
    }
  } catch (error) {
    if (!(error instanceof TraceeGone)) throw error;
  }
}

function cannotSeize(process: StoppedProcess, tid: number, result: number): KmonteError {
  const tracer = tracerOf(process.pid);
  const facts = { pid: process.pid, tid, command: process.stat.comm, syscall: "ptrace", errno: errnoName(result) };
  const what = `Process ${process.pid} (${process.stat.comm}) cannot be stopped.`;
  if (tracer !== 0) {
    const command = readStat(tracer)?.comm ?? "?";
    return new Refusal(
      "TRACED",
      { what, why: `Process ${tracer} (${command}) traces it already.`, remedy: "Detach the debugger first." },
      facts,
    );
  }
  return new Refusal(
    "NOT_PERMITTED",
    {
      what,
      why: `ptrace(PTRACE_SEIZE) on task ${tid} answered ${errnoName(result)}.`,
      remedy: "Run kmonte as root, or as the owner of the process.",
    },
    facts,
  );
}

function tracerOf(pid: number): number {
  try {
    return Number(parseStatus(readFileSync(`/proc/${pid}/status`, "utf8")).get("TracerPid") ?? 0);
  } catch {
    return 0;
  }
}

function doesNotStop(process: StoppedProcess, tid: number): KmonteError {
  const state = readStat(tid)?.state ?? "?";
  return new KmonteError(
    "DOES_NOT_STOP",
    {
      what: `Process ${process.pid} (${process.stat.comm}) does not stop.`,
      why: `Thread ${tid} has been in state ${state} for ${STOP_DEADLINE_MS / 1000} seconds${state === "D" ? ", waiting for a device or for a child of vfork" : ""}.`,
      remedy: "Try again when the device answers; nothing was changed.",
    },
    { facts: { pid: process.pid, tid, command: process.stat.comm } },
  );
}

/** Waits, not for long, until a thread that has just been let go sleeps again. */
function awaitSleep(tid: number): void {
  for (let looks = 0; looks < 100 && readStat(tid)?.state === "R"; looks += 1) sleepMicroseconds(30);
}

function staysInVdso(process: StoppedProcess, tid: number): KmonteError {
  return new Refusal(
    "IN_VDSO",
    {
      what: `Process ${process.pid} (${process.stat.comm}) could not be stopped in a good moment.`,
      why: `Thread ${tid} was in the kernel's own code (the vDSO) ${MOST_TRIES} times in a row.`,
      remedy: "Try again.",
    },
    { pid: process.pid, tid, command: process.stat.comm },
  );
}

function threadsOf(pid: number): number {
  return readStat(pid)?.threads ?? 0;
}

function leaderEnded(process: StoppedProcess): KmonteError {
  return new Refusal(
    "LEADER_ENDED",
    {
      what: `Process ${process.pid} (${process.stat.comm}) goes on without its first thread.`,
      why: `Thread ${process.pid} has ended and waits for the others (pthread_exit(3) in main).`,
      remedy: "Leave this process out.",
    },
    { pid: process.pid, command: process.stat.comm },
  );
}
