/** Timers of timer_create(2): their ids, what they send and to whom, and the time to their next expiration. */
import { Memo } from "../memo.ts";
import { SIGEV, SIGEVENT } from "../../abi/signal.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { ERRNO } from "../../abi/errno.ts";
import { PR, PR_TIMER_CREATE_RESTORE_IDS } from "../../abi/prctl.ts";
import { signalName, signalNumber } from "../../abi/signal.ts";
import { CLOCK, decodeTimespec, encodeItimerspec } from "../../abi/time.ts";
import { failures } from "../../errors/catalogue.ts";
import type { KmonteError } from "../../errors/failure.ts";
import { nameOf } from "../../lib/flags.ts";
import { hex, hexSchema } from "../../lib/hex.ts";
import { peekSignals } from "../../tracee/ptrace.ts";
import { parseTimers, type ListedTimer } from "../../proc/timers.ts";
import type { RemoteScope } from "../../tracee/scope.ts";
import { settledTime } from "../remaining-time.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import { wakesNobody } from "../ordinary-user.ts";

const nanoseconds = v.pipe(v.string(), v.regex(/^\d+$/));

const timerSchema = v.strictObject({
  id: v.number(),
  /** A CLOCK_ name, or the number of a clock of another process or of a device. */
  clock: v.union([v.picklist(Object.keys(CLOCK) as (keyof typeof CLOCK)[]), v.number()]),
  notify: v.picklist(["SIGEV_SIGNAL", "SIGEV_NONE", "SIGEV_THREAD", "SIGEV_THREAD_ID"]),
  signal: v.optional(v.string()),
  value: hexSchema,
  /** For SIGEV_THREAD_ID. */
  thread: v.optional(v.number()),
  /** 0 when it is not armed. */
  remaining: nanoseconds,
  interval: nanoseconds,
  /** Its signal is queued: expirations since then count as overruns (timer_getoverrun(2)). */
  queued: v.optional(v.literal(true)),
});
type TimerState = v.InferOutput<typeof timerSchema>;
const schema = v.array(timerSchema);

const NOTIFY = { signal: "SIGEV_SIGNAL", none: "SIGEV_NONE", thread: "SIGEV_THREAD" } as const;
/** How the kernel writes CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID (include/linux/posix-timers.h). */
const OWN_PROCESS_CLOCK = -6;
const OWN_THREAD_CLOCK = -2;
const SI_TIMER = -2;
const TIMER_ABSTIME = 1;

export const posixTimers: ProcessResource<v.InferOutput<typeof schema>, "posixTimers"> = {
  name: "posixTimers",
  differs: [
    {
      what: "how often a timer had expired while its signal waited (timer_getoverrun(2)): counted from its last expiration on",
      met: (timers) => timers.some(({ queued }) => queued),
    },
  ],
  schema,
  forUser: (timers) => wakesNobody(timers.map(({ clock }) => clock)),
  needs: (timers) => (timers.length > 0 ? [{ option: "CONFIG_POSIX_TIMERS", what: "timer_create(2)" }] : []),
  freeze: (process) =>
    parseTimers(readFileSync(procPath(process.task, "timers"), "utf8"))
      .toSorted((a, b) => a.id - b.id)
      .map((timer) => freezeTimer(process, timer, isQueued(process, timer))),
  thaw(process, timers) {
    if (timers.length === 0) return;
    for (const { id, queued } of timers) if (queued) noteQueued(process, id);
    // Threads that a timer names must be there first, and nothing may expire before all is.
    process.context.during("arm", () => {
      createAll(
        process.scope,
        timers.map((timer) => (timer.thread === undefined ? timer : { ...timer, thread: process.seen(timer.thread) })),
      );
      for (const timer of timers) arm(process, timer);
    });
  },
};

/** Whether the kernel holds a signal of the timer, as siginfo_t of those that wait tells (sigaction(2), SI_TIMER). */
function isQueued({ task }: FreezeProcess, { id, toThread, target, notify }: ListedTimer): boolean {
  if (notify === "none") return false;
  return peekSignals(toThread ? target : task, !toThread).some((info) => timerOf(info) === id);
}

/** The timer that sent a queued signal. */
function timerOf(info: Buffer): number | undefined {
  return info.readInt32LE(8) === SI_TIMER ? info.readInt32LE(16) : undefined;
}

/** Timers whose signals wait, by the processes. */
const queuedTimers = new Memo(() => new Map<ThawProcess, Set<number>>());

function noteQueued(process: ThawProcess, id: number): void {
  const known = process.context.memo(queuedTimers);
  known.set(process, (known.get(process) ?? new Set()).add(id));
}

/** Whether a timer of the process queues this signal itself, because it was frozen with it. */
export function queuesItself(process: ThawProcess, info: Buffer): boolean {
  const id = timerOf(info);
  return id !== undefined && process.context.memo(queuedTimers).get(process)?.has(id) === true;
}

function freezeTimer(process: FreezeProcess, timer: ListedTimer, queued: boolean): TimerState {
  const { scope } = process;
  scope.call("timer_gettime", `Asking for timer ${timer.id}`, timer.id, scope.scratch);
  const bytes = scope.take(32);
  const clock = clockOf(process, timer);
  const left = decodeTimespec(bytes, 16);
  return {
    id: timer.id,
    clock,
    notify: timer.toThread ? "SIGEV_THREAD_ID" : NOTIFY[timer.notify],
    ...(timer.notify !== "none" && { signal: signalName(timer.signal) }),
    value: hex(timer.value),
    ...(timer.toThread && { thread: timer.target }),
    remaining: (countsCpu(clock) ? left : settledTime.write(process.context, left)).toString(),
    interval: decodeTimespec(bytes).toString(),
    // One that expires once is done with.
    ...(queued && decodeTimespec(bytes) !== 0n && { queued: true as const }),
  };
}

function clockOf(process: FreezeProcess, timer: ListedTimer): TimerState["clock"] {
  if (timer.clock === OWN_PROCESS_CLOCK) return "CLOCK_PROCESS_CPUTIME_ID";
  if (timer.clock !== OWN_THREAD_CLOCK)
    return (nameOf(CLOCK, timer.clock) as keyof typeof CLOCK | undefined) ?? timer.clock;
  if (process.stat.threads === 1) return "CLOCK_THREAD_CPUTIME_ID";
  throw failures.THREAD_CLOCK_TIMER({
    pid: process.pid,
    command: process.command,
    timer: timer.id,
    threads: process.stat.threads,
  });
}

/** Ids are the kernel's to give: since 6.16 one can ask for them, before that they count up from 0. */
function createAll(scope: RemoteScope, timers: readonly TimerState[]): void {
  if (scope.attempt("prctl", PR.TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS.ON, 0, 0, 0) === 0) {
    for (const timer of timers) {
      if (create(scope, timer, timer.id) !== timer.id) throw wrongId(scope, timer);
    }
    scope.call(
      "prctl",
      "Ending the choice of timer ids",
      PR.TIMER_CREATE_RESTORE_IDS,
      PR_TIMER_CREATE_RESTORE_IDS.OFF,
      0,
      0,
      0,
    );
    return;
  }
  for (const timer of timers) {
    for (let id = create(scope, timer, 0); id !== timer.id; id = create(scope, timer, 0)) {
      scope.call("timer_delete", "Passing over a timer id", id);
      if (id > timer.id) throw wrongId(scope, timer);
    }
  }
}

function wrongId(scope: RemoteScope, timer: TimerState): KmonteError {
  return failures.TIMER_ID({ pid: scope.pid, timer: timer.id });
}

/** timer_create(2); returns the id. */
function create(scope: RemoteScope, timer: TimerState, wanted: number): number {
  const event = Buffer.alloc(SIGEVENT.SIZE + 4);
  event.writeBigUInt64LE(BigInt(timer.value), 0);
  event.writeInt32LE(timer.signal === undefined ? 0 : signalNumber(timer.signal), SIGEVENT.SIGNO);
  event.writeInt32LE(SIGEV[timer.notify], SIGEVENT.NOTIFY);
  event.writeInt32LE(timer.thread ?? 0, SIGEVENT.THREAD_ID);
  event.writeInt32LE(wanted, SIGEVENT.SIZE);
  const at = scope.put(event);
  const clock = typeof timer.clock === "number" ? timer.clock : CLOCK[timer.clock];
  const result = scope.attempt("timer_create", clock, at, at + SIGEVENT.SIZE);
  if (result === -ERRNO.EBUSY) throw wrongId(scope, timer);
  if (result < 0) scope.call("timer_create", `Making timer ${timer.id}`, clock, at, at + SIGEVENT.SIZE);
  return scope.take(4, SIGEVENT.SIZE).readInt32LE(0);
}

/** CPU time stands still while nothing runs. Clocks with numbers are those of other tasks' CPU time. */
function countsCpu(clock: TimerState["clock"]): boolean {
  return typeof clock === "number" || clock.includes("CPUTIME");
}

function arm({ scope, context }: ThawProcess, timer: TimerState): void {
  if (timer.remaining === "0") return;
  if (timer.queued) return expire({ scope, context }, timer);
  const left = BigInt(timer.remaining);
  const value = encodeItimerspec(
    BigInt(timer.interval),
    countsCpu(timer.clock) ? left : settledTime.read(context, left),
  );
  scope.call("timer_settime", `Arming timer ${timer.id}`, timer.id, 0, scope.put(value), 0);
}

/**
 * Has the timer expire at its last time before the freeze, so that it queues its signal itself and counts from then on.
 * How often it had expired before the kernel tells only to who takes the signal.
 */
function expire({ scope, context }: Pick<ThawProcess, "scope" | "context">, timer: TimerState): void {
  const clock = typeof timer.clock === "number" ? timer.clock : CLOCK[timer.clock];
  scope.call("clock_gettime", `Asking for the clock of timer ${timer.id}`, clock, scope.scratch);
  const now = decodeTimespec(scope.take(16));
  const interval = BigInt(timer.interval);
  const late = countsCpu(timer.clock) ? 0n : context.lateness;
  const last = now - late + BigInt(timer.remaining) - interval;
  const value = encodeItimerspec(interval, last > 0n ? last : 1n);
  scope.call("timer_settime", `Arming timer ${timer.id}`, timer.id, TIMER_ABSTIME, scope.put(value), 0);
}
