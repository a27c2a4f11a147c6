/**
 * How long the sleepers of a stopped set would still sleep. The kernel keeps that to itself, with two exceptions:
 * nanosleep(2) writes the rest to its second argument when it is interrupted, and /proc/timer_list shows the timers
 * of all sleepers, though not whose they are. So the sleepers are let go on with their sleep for an instant, half of
 * them at a time and by the bits of their number, and whose timer it is shows in which rounds it was there. They do
 * nothing but sleep on meanwhile; one whose time ends goes on as if we had come a moment later.
 */
import { readFileSync } from "node:fs";
import type { Task } from "../../lib/brand.ts";
import { KmonteError } from "../../errors/failure.ts";
import type { Registers } from "../../abi/registers.x86_64.ts";
import { CLOCK } from "../../abi/time.ts";
import { clockNow } from "../../sys/time.ts";
import { parseSleeperTimers, parseTimerListNow } from "../../proc/timer-list.ts";
import { isResumed, resumedCall, rewritingCall } from "../../tracee/interrupted-call.x86_64.ts";
import { TraceeMemory } from "../../tracee/memory.ts";
import { getRegisters, setRegisters } from "../../tracee/ptrace.ts";
import { reportedRest, requestedTime, rewriteRest, rewrittenRest } from "../../tracee/sleep-time.x86_64.ts";
import { orIfGone } from "../../lib/no-such-file.ts";

/** Below this, sleeping the whole time again is as good as any measurement. */
const SHORT_NS = 2_000_000n;
/** Other programs' timers come and go: what fits two sleepers is looked at again. */
const TRIES = 3;

export interface Sleeper {
  readonly tid: Task;
  /** CLOCK_MONOTONIC when the stop was seen. */
  readonly stoppedAt: bigint;
}

export interface SleepControl {
  /** Lets threads go on with their sleep, until all of them sleep. */
  run(tids: readonly Task[]): void;
  halt(tids: readonly Task[]): void;
}

/** The moments, on our CLOCK_MONOTONIC, at which relative sleeps end, by thread id; without those that nobody knows. */
export function measureSleeps(stopped: readonly Sleeper[], control: SleepControl): Map<number, bigint> {
  const deadlines = new Map<number, bigint>();
  const unknown = new Map<Task, bigint>();
  const asleep = new Map<Task, Registers>();
  for (const { tid, stoppedAt } of stopped) {
    const registers = getRegisters(tid);
    const rewriting = rewritingCall(registers);
    if (!rewriting && !isResumed(registers)) continue;
    using memory = new TraceeMemory(tid);
    const rewritten = rewriting && rewrittenRest(rewriting, memory);
    if (rewritten !== undefined) deadlines.set(tid, stoppedAt + rewritten);
    const call = resumedCall(registers, memory);
    const requested = call && call !== "unknown" ? requestedTime(call, memory) : undefined;
    if (!call || call === "unknown" || requested === undefined) continue;
    const rest = reportedRest(call, memory);
    if (rest !== undefined) deadlines.set(tid, stoppedAt + rest);
    else if (requested >= SHORT_NS) {
      unknown.set(tid, requested);
      asleep.set(tid, registers);
    }
  }
  for (let tries = 0; tries < TRIES && unknown.size > 0 && canRead(); tries += 1) {
    const timers = findTimers([...unknown.keys()], control);
    for (const [tid, before] of asleep) {
      if (!unknown.has(tid) || sleepsOn(tid, before)) continue;
      // Its time has ended. What it has come to since, another sleep maybe, is another call, looked at as it is.
      unknown.delete(tid);
    }
    for (const [tid, found] of timers) {
      const requested = unknown.get(tid);
      if (requested === undefined) continue;
      const fitting = found.filter((deadline) => deadline <= clockNow(CLOCK.CLOCK_MONOTONIC) + requested);
      if (fitting.length !== 1 && tries < TRIES - 1) continue;
      const latest = fitting.reduce<bigint | undefined>(
        (most, at) => (most === undefined || at > most ? at : most),
        undefined,
      );
      // Rather too long than too short.
      if (latest !== undefined) deadlines.set(tid, latest);
      unknown.delete(tid);
    }
  }
  return deadlines;
}

/**
 * Whether a thread is still in the call that it was in. A call that was gone on with shows the number of
 * restart_syscall(2) in the place of its own, which is put back.
 */
function sleepsOn(tid: number, before: Registers): boolean {
  try {
    const registers = getRegisters(tid);
    if (!isResumed(registers)) return false;
    if (!registers.set("orig_rax", before.get("orig_rax")).equals(before)) return false;
    setRegisters(tid, before);
    return true;
  } catch (error) {
    // Whoever has been killed meanwhile sleeps no more.
    if (!(error instanceof KmonteError)) throw error;
    return false;
  }
}

/** Takes the time of the stop off a call that finds the rest of its time in memory, before its thread goes on. */
export function correctSleep(tid: Task, deadline: bigint): void {
  try {
    const call = rewritingCall(getRegisters(tid));
    if (!call) return;
    using memory = new TraceeMemory(tid);
    const left = deadline - clockNow(CLOCK.CLOCK_MONOTONIC);
    rewriteRest(call, memory, left > 0n ? left : 0n);
  } catch (error) {
    // Whoever has been killed meanwhile sleeps no more.
    if (!(error instanceof KmonteError)) throw error;
  }
}

function canRead(): boolean {
  return readTimerList() !== "";
}

function readTimerList(): string {
  return orIfGone(() => readFileSync("/proc/timer_list", "utf8"), "");
}

/** One look at the timers while some sleepers sleep, for each bit of their numbers: from 1, and never all bits set. */
function findTimers(tids: readonly Task[], control: SleepControl): Map<Task, bigint[]> {
  const rounds = Math.ceil(Math.log2(tids.length + 2));
  const codes = new Map<string, number>();
  const deadlines = new Map<string, bigint>();
  for (let round = 0; round < rounds; round += 1) {
    const chosen = tids.filter((_, index) => ((index + 1) >> round) & 1);
    control.run(chosen);
    const text = readTimerList();
    control.halt(chosen);
    const now = parseTimerListNow(text) ?? clockNow(CLOCK.CLOCK_MONOTONIC);
    for (const [timer, distance] of parseSleeperTimers(text)) {
      codes.set(timer, (codes.get(timer) ?? 0) | (1 << round));
      deadlines.set(timer, now + distance);
    }
  }
  const found = new Map<Task, bigint[]>(tids.map((tid) => [tid, []]));
  for (const [timer, code] of codes) {
    const tid = tids[code - 1];
    const deadline = deadlines.get(timer);
    if (tid !== undefined && deadline !== undefined) found.get(tid)?.push(deadline);
  }
  return found;
}
