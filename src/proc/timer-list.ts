/** /proc/timer_list: every high-resolution timer of the kernel, for root's eyes (kernel/time/timer_list.c). */

/** Nanoseconds until each sleeper's timer expires, by a name that stays the same while the deadline does. */
export function parseSleeperTimers(text: string): Map<string, bigint> {
  const timers = new Map<string, bigint>();
  // ` #0: <…>, hrtimer_wakeup, S:01` and ` # expires at 1-2 nsecs [in 3 to 4 nsecs]`: the earliest and latest moment.
  for (const match of text.matchAll(/, hrtimer_wakeup,.*\n # expires at (\d+)-\d+ nsecs \[in (-?\d+) to/g)) {
    timers.set(match[1] ?? "", BigInt(match[2] ?? "0"));
  }
  return timers;
}

/** The moment of CLOCK_MONOTONIC that the distances are counted from. */
export function parseTimerListNow(text: string): bigint | undefined {
  const found = /^now at (\d+) nsecs/m.exec(text)?.[1];
  return found === undefined ? undefined : BigInt(found);
}
