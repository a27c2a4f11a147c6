/**
 * A sleep in progress that goes on with the time that is left of it: nanosleep(2), clock_nanosleep(2), poll(2) and
 * futex(2) with a relative timeout (restart_syscall(2)); ppoll(2), pselect(2) and select(2), which keep it in memory.
 *
 * Only the kernel can hold such a rest, because the call's arguments are the program's own and say the whole time.
 * So the thread really makes the call once more, with the rest, and is interrupted in it: the new kernel then keeps
 * what the old one kept, and goes on with it by itself when the thread's own registers ask for it.
 */
import * as v from "valibot";
import { CLOCK, encodeTimespec } from "../../abi/time.ts";
import { clockNow } from "../../sys/time.ts";
import { failures } from "../../errors/catalogue.ts";
import { hex, hexSchema, unhex } from "../../lib/hex.ts";
import {
  RESUMED_CALLS,
  resumedCall,
  REWRITING_CALLS,
  rewritingCall,
  type ResumedCall,
} from "../../tracee/interrupted-call.x86_64.ts";
import { requestedTime, rewriteRest } from "../../tracee/sleep-time.x86_64.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.optional(
  v.strictObject({
    name: v.picklist([...RESUMED_CALLS, ...REWRITING_CALLS]),
    args: v.array(hexSchema),
    /** Nanoseconds; absent when the call waits for ever or until a moment, and can be made again as it is. */
    remaining: v.optional(v.pipe(v.string(), v.regex(/^-?\d+$/))),
  }),
);
type State = v.InferOutput<typeof schema>;

export const interruptedCall: ThreadResource<State, "interruptedCall"> = {
  name: "interruptedCall",
  schema,
  forUser: ofAnyUser,
  freeze({ tid, process, scope, sleepsUntil }) {
    const until = (moment: bigint): bigint => moment - clockNow(CLOCK.CLOCK_MONOTONIC) + process.context.elapsed;
    const rewriting = rewritingCall(scope.registers);
    if (rewriting && sleepsUntil !== undefined) {
      return { name: rewriting.name, args: rewriting.args.map(hex), remaining: String(until(sleepsUntil)) };
    }
    const call = resumedCall(scope.registers, scope.memory);
    if (!call) return undefined;
    if (call === "unknown") {
      throw failures.UNKNOWN_SLEEP({ process, tid });
    }
    const { name, args } = call;
    const requested = requestedTime(call, scope.memory);
    const left = sleepsUntil === undefined ? requested : until(sleepsUntil);
    return {
      name,
      args: args.map(hex),
      ...(requested !== undefined && { remaining: String(left) }),
    };
  },
  thaw({ scope, process }, state) {
    if (!state) return;
    const { name, args, remaining } = state;
    const left = remaining === undefined ? undefined : BigInt(remaining) - process.context.lateness;
    if (name === "ppoll" || name === "pselect6" || name === "select") {
      if (left !== undefined) rewriteRest({ name, args: args.map(BigInt) }, scope.memory, left > 0n ? left : 0n);
      return;
    }
    scope.restartAs = name;
    if (left !== undefined) beginAgain(scope, name, args.map(unhex), left > 0n ? left : 1n);
  },
};

function beginAgain(scope: BuildScope, name: ResumedCall, args: readonly number[], left: bigint): void {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
  const time = scope.put(encodeTimespec(left));
  if (name === "nanosleep") scope.interruptIn(name, time, b);
  else if (name === "clock_nanosleep") scope.interruptIn(name, a, b, time, d);
  else if (name === "futex") scope.interruptIn(name, a, b, c, time, e, f);
  else scope.interruptIn(name, a, b, Number((left + 999_999n) / 1_000_000n));
}
