/** setitimer(2) and alarm(2): three timers that send signals. */
import * as v from "valibot";
import { settledTime } from "../remaining-time.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const timer = v.strictObject({
  /** Microseconds. */
  interval: v.number(),
  remaining: v.number(),
});
const schema = v.strictObject({
  ITIMER_REAL: v.optional(timer),
  ITIMER_VIRTUAL: v.optional(timer),
  ITIMER_PROF: v.optional(timer),
});
type IntervalTimers = v.InferOutput<typeof schema>;

/** struct itimerval: interval and value, each of seconds and microseconds. */
const ITIMERVAL_SIZE = 32;

const WHICH = ["ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"] as const;

export const intervalTimers: ProcessResource<IntervalTimers, "intervalTimers"> = {
  name: "intervalTimers",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: WHICH.length * ITIMERVAL_SIZE,
    calls: (at) =>
      Object.fromEntries(
        WHICH.map((name, which) => [name, ["getitimer", which, at + which * ITIMERVAL_SIZE] as const]),
      ),
  },
  freeze({ context }, answers) {
    const timers: IntervalTimers = {};
    WHICH.forEach((name, which) => {
      answers.result(name);
      const bytes = answers.bytes.subarray(which * ITIMERVAL_SIZE, (which + 1) * ITIMERVAL_SIZE);
      const at = (offset: number): number =>
        Number(bytes.readBigInt64LE(offset)) * 1_000_000 + Number(bytes.readBigInt64LE(offset + 8));
      if (at(16) === 0) {
        // The kernel starts a repeating timer anew only when its SIGALRM is taken out of the queue; until then it
        // looks as if it were off (posixtimer_rearm_itimer in kernel/time/itimer.c). One that is really off has no
        // interval either.
        if (name === "ITIMER_REAL" && at(0) !== 0) {
          const whole = settledTime.write(context, nanoseconds(at(0)));
          timers[name] = { interval: at(0), remaining: microseconds(whole) };
        }
        return;
      }
      // The other two count CPU time, which stands still.
      const remaining = name === "ITIMER_REAL" ? microseconds(settledTime.write(context, nanoseconds(at(16)))) : at(16);
      timers[name] = { interval: at(0), remaining };
    });
    return timers;
  },
  thaw(process, timers) {
    if (Object.keys(timers).length > 0) process.context.during("arm", () => arm(process, timers));
  },
};

const nanoseconds = (value: number): bigint => BigInt(value) * 1000n;
/** Rounded up: a timer may be late, never early. */
const microseconds = (value: bigint): number => Number((value + 999n) / 1000n);

function arm({ scope, context }: ThawProcess, timers: IntervalTimers): void {
  WHICH.forEach((name, which) => {
    const state = timers[name];
    if (!state) return;
    const bytes = Buffer.alloc(32);
    const remaining =
      name === "ITIMER_REAL" ? microseconds(settledTime.read(context, nanoseconds(state.remaining))) : state.remaining;
    [state.interval, remaining].forEach((value, i) => {
      bytes.writeBigInt64LE(BigInt(Math.floor(value / 1_000_000)), i * 16);
      bytes.writeBigInt64LE(BigInt(value % 1_000_000), i * 16 + 8);
    });
    scope.call("setitimer", `Setting ${name}`, which, scope.put(bytes), 0);
  });
}
