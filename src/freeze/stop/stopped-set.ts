/** Stopping a set of processes, all threads and all descendants, without their knowing: PTRACE_SEIZE and _INTERRUPT. */
import type { LocalFd, Task } from "../../lib/brand.ts";
import { ERRNO } from "../../abi/errno.ts";
import { canOpenThread, livingThread } from "../../sys/task.ts";
import { PTRACE_EVENT, PTRACE_O } from "../../abi/ptrace.ts";
import { CLOCK } from "../../abi/time.ts";
import { SyscallError } from "../../sys/call.ts";
import { clockNow } from "../../sys/time.ts";
import { SIGNAL, signalName } from "../../abi/signal.ts";
import { KmonteError } from "../../errors/failure.ts";
import { isKernelWorker } from "../../proc/kernel-workers.ts";
import { childrenOf, hasEnded, isZombie, readdirOrEmpty, readProcessStat, readStat } from "../../proc/read.ts";
import type { ProcessStat } from "../../proc/status.ts";
import { endAll, type Move } from "../../tracee/end-all.x86_64.ts";
import { detach, interrupt, resume, tryInterrupt, tryResume } from "../../tracee/ptrace.ts";
import { reapEndedThreads, SEIZE_PATIENCE_MS, Seizer } from "../../tracee/seize.x86_64.ts";
import { settleThread, standsInVdso } from "./settle.ts";
import { correctSleep, measureSleeps } from "./sleep-deadlines.ts";
import { cannotSeize, doesNotStop, keepsChanging, leaderEnded, staysInVdso, vforkInProgress } from "./failures.ts";
import { waitsInVfork } from "./vfork.ts";
import {
  awaitEnd,
  awaitStop,
  expectNodeToWatch,
  expectOthersBeside,
  sleepMicroseconds,
  TraceeGone,
  type Stop,
} from "../../tracee/stops.ts";

/** Seccomp filters of the program do not apply to calls that we make in it; needs CAP_SYS_ADMIN. */
const OPTIONS = PTRACE_O.TRACESYSGOOD | PTRACE_O.SUSPEND_SECCOMP;
/** A task in an uninterruptible sleep gets this long to come out of it. */
const STOP_DEADLINE_MS = 10_000;
/** In /proc/PID/stat, of who stands still for us. */
const TRACED = "t";
/** Nearly all tasks stop within this time. */
const USUAL_STOP_MS = 100;
/** The child of a vfork starts another program within milliseconds as a rule, and within seconds on a busy machine. */
const VFORK_PATIENCE_MS = 3000;
/** Ending takes no longer as a rule, with much memory to give back. */
const END_PATIENCE_MS = 2000;
const RELEASE_PATIENCE_MS = 500;
/** A program that does nothing but ask for the time is outside the vDSO one time in five or so. */
const MOST_TRIES = 400;
/** So often a thread is asked for that must not be traced. */
const MOST_SEIZES = 3;

interface StoppedThread {
  readonly tid: Task;
  /** CLOCK_MONOTONIC when we saw it stop. */
  readonly stoppedAt: bigint;
  /** The signal of the group stop that the thread was in before we came, if any. */
  readonly groupStop: string | undefined;
}

export interface StoppedProcess {
  readonly pid: number;
  /** Its first thread that lives; of one that has ended it is the process itself, which tells what there is to tell. */
  task: Task;
  readonly stat: ProcessStat;
  readonly zombie: boolean;
  readonly threads: StoppedThread[];
}

/** Asked before a process is touched; throws a refusal when it is not to be. */
export type Admit = (pid: number, command: string) => void;

/** Processes that stand still until {@link StoppedSet.release}. */
export class StoppedSet implements Disposable {
  readonly processes = new Map<number, StoppedProcess>();
  readonly #seized = new Set<number>();
  /** Those of them that have come to a stop; the others may still be on their way. */
  readonly #standing = new Set<number>();
  #sleepsUntil: ReadonlyMap<number, bigint> = new Map();
  /** A process of which a thread ended before it could be stopped. */
  #missed: StoppedProcess | undefined;
  /** First threads that have ended while others go on. */
  readonly #endedLeaders = new Set<number>();

  readonly #admit: Admit;
  /** Until all stand still. */
  readonly #seizer: Seizer;

  private constructor(admit: Admit, seizer: Seizer) {
    this.#admit = admit;
    this.#seizer = seizer;
  }

  /** Seizes and stops the processes with everything below them; on failure, lets all go on and throws. */
  static stop(roots: readonly number[], admit: Admit = () => undefined): StoppedSet {
    using seizer = new Seizer();
    const set = new StoppedSet(admit, seizer);
    try {
      set.#stopAll(roots);
      // A sleeper whose time ended meanwhile may have made a thread or a child.
      if (set.#measureSleeps()) set.#stopAll(roots);
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

  /** Whether any thread went on for it. */
  #measureSleeps(): boolean {
    let went = false;
    const free = [...this.processes.values()].flatMap((process) =>
      process.threads
        .filter((thread) => thread.groupStop === undefined)
        .map(({ tid, stoppedAt }) => ({ tid, stoppedAt, process })),
    );
    const processOf = new Map(free.map(({ tid, process }) => [tid, process]));
    this.#sleepsUntil = measureSleeps(free, {
      run: (tids) => {
        went = true;
        for (const tid of tids) {
          if (!this.#seized.has(tid)) continue;
          this.#standing.delete(tid);
          tryResume(tid);
        }
        for (const tid of tids) awaitSleep(tid);
      },
      halt: (tids) => {
        const running = tids.filter((tid) => this.#seized.has(tid));
        for (const tid of running) tryInterrupt(tid);
        for (const tid of running) this.#awaitStop(processOf.get(tid) as StoppedProcess, tid);
      },
    });
    return went;
  }

  /** Through which thread each process is asked. */
  get tasks(): ReadonlyMap<number, Task> {
    return new Map([...this.processes.values()].map(({ pid, task }) => [pid, task]));
  }

  get threadCount(): number {
    return this.#seized.size;
  }

  #stopAll(roots: readonly number[]): void {
    const deadline = Date.now() + END_PATIENCE_MS;
    do {
      this.#dropEnded();
      this.#stopOnce(roots);
      // Whoever is on the way to its end is a zombie, or gone, in a moment.
    } while (this.#someEnding() && Date.now() < deadline && sleepMicroseconds(200) === undefined);
    for (const process of this.processes.values()) {
      const { pid, zombie, threads } = process;
      const [first] = threads;
      if (zombie || !first || threads.some(({ tid }) => tid === pid)) continue;
      if (!canOpenThread(first.tid)) throw leaderEnded(process, "this kernel shows nobody the files of the others");
      process.task = first.tid;
    }
  }

  #someEnding(): boolean {
    return [...this.processes.values()].some(({ zombie, threads }) => !zombie && threads.length === 0);
  }

  #stopOnce(roots: readonly number[]): void {
    for (const pid of roots) this.#takeProcess(pid);
    // A program that forks or starts threads while we look is looked at again, until nothing new appears, and nobody has
    // ended under our hands, who may have made others. Whoever has been stopped cannot make more, so this ends, unless
    // threads live so shortly that none is met.
    const deadline = Date.now() + STOP_DEADLINE_MS;
    for (let before = -1; before !== this.#seized.size + this.processes.size || this.#missed;) {
      if (this.#missed && Date.now() > deadline) throw keepsChanging(this.#missed, STOP_DEADLINE_MS);
      before = this.#seized.size + this.processes.size;
      this.#missed = undefined;
      for (const process of [...this.processes.values()]) {
        if (process.zombie) continue;
        this.#takeThreads(process);
        for (const child of childrenOf(process.pid)) if (!this.processes.has(child)) this.#takeProcess(child);
      }
    }
  }

  /** Those that have ended after they had been stopped: what is left of them is looked at anew. */
  #dropEnded(): void {
    for (const { pid, zombie, threads } of [...this.processes.values()]) {
      if (zombie ? readStat(pid) !== undefined : threads.length > 0) continue;
      this.processes.delete(pid);
      this.#takeProcess(pid);
    }
  }

  #takeProcess(pid: number): void {
    if (this.processes.has(pid)) return;
    const stat = readProcessStat(pid);
    if (!stat) return;
    if (stat.ppid === globalThis.process.pid) expectNodeToWatch(pid);
    this.#admit(pid, stat.comm);
    const zombie = isZombie(stat);
    const process = { pid, task: livingThread(pid), stat, zombie, threads: [] };
    if (!process.zombie) this.#takeThreads(process);
    this.processes.set(pid, process);
  }

  #takeThreads(process: StoppedProcess): void {
    const fresh: Task[] = [];
    // The youngest first: they live longest.
    for (const name of readdirOrEmpty(`/proc/${process.pid}/task`).toReversed()) {
      const tid = livingThread(Number(name));
      if (this.#seized.has(tid) || isKernelWorker(tid)) continue;
      if (this.#seize(process, tid)) fresh.push(tid);
      else if (tid !== process.pid || !this.#endedLeaders.has(tid)) this.#missed = process;
      if (tid === process.pid && !this.#seized.has(tid)) this.#endedLeaders.add(tid);
    }
    fresh.reverse();
    if (fresh.length + process.threads.length > 1) expectOthersBeside(process.pid);
    for (const tid of fresh) tryInterrupt(tid);
    for (const tid of fresh) {
      const groupStop = this.#awaitStop(process, tid);
      if (this.#seized.has(tid)) process.threads.push({ tid, groupStop, stoppedAt: clockNow(CLOCK.CLOCK_MONOTONIC) });
    }
    if (!fresh.every((tid) => this.#seized.has(tid))) this.#missed = process;
    // One that was not seen may have started another program, at which those that stood still have ended (execve(2)).
    const [first] = process.threads;
    if (fresh.length === 0 && first && readStat(first.tid)?.state !== TRACED) this.#missed = process;
    if (this.#missed !== process) return;
    reapEndedThreads(process.pid);
    this.#stopAnew(process);
  }

  /**
   * Some threads have ended. Maybe one of them has become the first thread instead, by starting another program, at
   * which all others end, those that stood still too (execve(2)).
   */
  #stopAnew(process: StoppedProcess): void {
    for (const { tid } of [...process.threads]) {
      if (readStat(tid)?.state === TRACED) continue;
      this.#standing.delete(tid);
      tryInterrupt(tid);
      this.#awaitStop(process, tid);
    }
  }

  #seize(process: StoppedProcess, tid: number): boolean {
    for (let tries = 1; ; tries += 1) {
      let result = this.#seizer.seize(tid, OPTIONS, process.pid);
      if (result === -ERRNO.EPERM) result = this.#seizer.seize(tid, PTRACE_O.TRACESYSGOOD, process.pid);
      // A thread of ours has started another program meanwhile, and has the first one's id now (execve(2)).
      const isOurs = result === -ERRNO.EPERM && tryInterrupt(tid);
      if (result >= 0 || isOurs) {
        this.#seized.add(tid);
        return true;
      }
      // A thread that is ending counts no more.
      if (result === -ERRNO.ESRCH || hasEnded(tid)) return false;
      if (result === -ERRNO.EINTR) throw doesNotStop(process, tid, SEIZE_PATIENCE_MS);
      // A first thread that has ended answers EPERM too, and another may have had its id since.
      if (tries === MOST_SEIZES) throw cannotSeize(process, tid, result);
    }
  }

  /** Gives the signal of the group stop that the thread was in; one that ends meanwhile counts no more. */
  #awaitStop(process: StoppedProcess, tid: Task): string | undefined {
    try {
      return this.#bringToStand(process, tid);
    } catch (error) {
      // Another thread, not yet stopped, may end one that stands already: by execve(2), or by exit_group(2).
      if (!hasGone(error)) throw error;
      this.#seized.delete(tid);
      this.#standing.delete(tid);
      const place = process.threads.findIndex((thread) => thread.tid === tid);
      if (place >= 0) process.threads.splice(place, 1);
      return undefined;
    }
  }

  #bringToStand(process: StoppedProcess, tid: Task): string | undefined {
    for (let tries = 0; ;) {
      let stop: Stop | undefined = awaitStop(tid, USUAL_STOP_MS);
      // A first thread that was on its way to its end: it stays, and does not stop.
      if (!stop && readStat(tid)?.state === "Z") throw new TraceeGone(tid);
      // One that is in execve(2) stops only when the others have been waited for.
      if (!stop) reapEndedThreads(process.pid);
      // Who has taken the id of the first thread meanwhile was asked to stop by its old one, or not at all (execve(2)).
      if (!stop && !tryInterrupt(tid)) throw new TraceeGone(tid);
      if (!stop && waitsInVfork(tid)) {
        stop = awaitStop(tid, VFORK_PATIENCE_MS);
        if (!stop) throw vforkInProgress(process, tid);
      }
      stop ??= awaitStop(tid, STOP_DEADLINE_MS);
      if (!stop) throw doesNotStop(process, tid, STOP_DEADLINE_MS);
      if (stop.event === PTRACE_EVENT.STOP) {
        this.#standing.add(tid);
        if (stop.signal !== SIGNAL.SIGTRAP) return signalName(stop.signal);
        if (!standsInVdso(tid)) {
          settleThread(tid);
          return undefined;
        }
        // It is in there for some nanoseconds only: another moment will be better. Stepping would take it out for
        // certain, but a death of ours between two steps would be its own.
        if ((tries += 1) > MOST_TRIES) throw staysInVdso(process, tid, MOST_TRIES);
        this.#standing.delete(tid);
        tryResume(tid);
        sleepMicroseconds(tries % 20);
        tryInterrupt(tid);
        continue;
      }
      // A signal on its way to the program: it is delivered, and our own stop comes right after.
      tryResume(tid, stop.event === 0 ? stop.signal : 0);
    }
  }

  /** Lets all go on, as if nothing had happened. Those that were stopped before stay stopped. */
  release(): void {
    for (const { threads } of this.processes.values()) {
      for (const { tid } of threads) {
        const until = this.#seized.has(tid) ? this.#sleepsUntil.get(tid) : undefined;
        if (until !== undefined) correctSleep(tid, until);
      }
    }
    for (const tid of [...this.#seized].toReversed()) {
      if (!this.#standing.has(tid)) bringToStand(tid);
      detach(tid);
    }
    this.#seized.clear();
    this.#standing.clear();
  }

  /** Ends all processes for good, after the move if there is one, tells it into pipes, and waits until they have gone. */
  kill(move?: Move, told: readonly LocalFd[] = []): void {
    const living = [...this.processes.values()].filter((process) => !process.zombie);
    endAll(
      living.map(({ pid }) => pid),
      move,
      told,
    );
    // The main thread can be waited for only when all others have been.
    // Children before parents: the init of a pid namespace waits until all in it have gone.
    for (const { pid, threads } of living.toReversed()) {
      for (const { tid } of threads) if (tid !== pid) awaitEnd(tid, STOP_DEADLINE_MS);
      awaitEnd(pid, STOP_DEADLINE_MS);
    }
    this.#seized.clear();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Whether that is how a thread's end shows: to a wait, a request of ptrace(2), or whoever reads its files in /proc. */
function hasGone(error: unknown): boolean {
  if (error instanceof SyscallError) return error.errno === "ESRCH";
  return error instanceof TraceeGone || ["ESRCH", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "");
}

/** Waits, not for long, until a thread that has just been let go sleeps again. */
function awaitSleep(tid: number): void {
  for (let looks = 0; looks < 100 && readStat(tid)?.state === "R"; looks += 1) sleepMicroseconds(30);
}

/** Only who stands still can be let go, and a call that our interruption breaks off must be put right before. */
function bringToStand(tid: number): void {
  try {
    interrupt(tid);
    let stop = awaitStop(tid, RELEASE_PATIENCE_MS);
    while (stop && stop.event !== PTRACE_EVENT.STOP) {
      resume("CONT", tid, stop.event === 0 ? stop.signal : 0);
      stop = awaitStop(tid, RELEASE_PATIENCE_MS);
    }
    if (stop?.signal === SIGNAL.SIGTRAP) settleThread(tid);
  } catch (error) {
    // It has ended. Whoever does not stop goes on by itself when our thread ends.
    if (!(error instanceof KmonteError)) throw error;
  }
}
