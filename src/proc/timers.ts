/** /proc/PID/timers: the timers that timer_create(2) has made (proc_pid_timers(5)). */

export interface ListedTimer {
  readonly id: number;
  readonly signal: number;
  /** sigev_value. */
  readonly value: bigint;
  readonly notify: "signal" | "none" | "thread";
  /** Whether `target` is a thread (SIGEV_THREAD_ID) rather than a process. */
  readonly toThread: boolean;
  readonly target: number;
  /** Negative for clocks of CPU time: -6 for a process, -2 for a thread. */
  readonly clock: number;
}

export function parseTimers(text: string): ListedTimer[] {
  const pattern =
    /ID: (\d+)\nsignal: (\d+)\/(?:0x)?([0-9a-f]+|\(null\))\nnotify: (signal|none|thread)\/(tid|pid)\.(-?\d+)\nClockID: (-?\d+)/g;
  return [...text.matchAll(pattern)].map(([, id, signal, value = "", notify, kind, target, clock]) => ({
    id: Number(id),
    signal: Number(signal),
    value: value === "(null)" ? 0n : BigInt(`0x${value}`),
    notify: notify as ListedTimer["notify"],
    toThread: kind === "tid",
    target: Number(target),
    clock: Number(clock),
  }));
}
