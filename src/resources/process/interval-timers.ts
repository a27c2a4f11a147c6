/** setitimer(2) and alarm(2): three timers that send signals. */
import * as v from 'valibot';
import type { ProcessResource, ThawProcess } from '../contract.ts';

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

const WHICH = ['ITIMER_REAL', 'ITIMER_VIRTUAL', 'ITIMER_PROF'] as const;

export const intervalTimers: ProcessResource<IntervalTimers> = {
  name: 'intervalTimers',
  schema,
  freeze({ scope }) {
    const timers: IntervalTimers = {};
    WHICH.forEach((name, which) => {
      scope.call('getitimer', `Asking for ${name}`, which, scope.scratch);
      const bytes = scope.take(32);
      const at = (offset: number): number =>
        Number(bytes.readBigInt64LE(offset)) * 1_000_000 + Number(bytes.readBigInt64LE(offset + 8));
      if (at(16) > 0) timers[name] = { interval: at(0), remaining: at(16) };
    });
    return timers;
  },
  thaw(process, timers) {
    if (Object.keys(timers).length > 0) process.context.atResume(() => arm(process, timers));
  },
};

function arm({ scope }: ThawProcess, timers: IntervalTimers): void {
  WHICH.forEach((name, which) => {
    const state = timers[name];
    if (!state) return;
    const bytes = Buffer.alloc(32);
    [state.interval, state.remaining].forEach((microseconds, i) => {
      bytes.writeBigInt64LE(BigInt(Math.floor(microseconds / 1_000_000)), i * 16);
      bytes.writeBigInt64LE(BigInt(microseconds % 1_000_000), i * 16 + 8);
    });
    scope.call('setitimer', `Setting ${name}`, which, scope.put(bytes), 0);
  });
}
