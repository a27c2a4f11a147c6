/**
 * Times that remain, tied to one moment. A program's clocks run on while kmonte looks at it and while it builds it
 * anew; a deadline stays where it was only if both are taken into account.
 */
import type { FreezeContext } from "./freeze-context.ts";
import type { ThawContext } from "./thaw-context.ts";

export const settledTime = {
  /** What remained when the image's clocks were read, of what remains now. 0, for a timer that is off, stays 0. */
  write: ({ elapsed }: Pick<FreezeContext, "elapsed">, remaining: bigint): bigint =>
    remaining === 0n ? 0n : remaining + elapsed,
  /** What remains now, of what remained then. A time that is over by now ends at once. */
  read({ lateness }: Pick<ThawContext, "lateness">, remaining: bigint): bigint {
    if (remaining === 0n) return 0n;
    return remaining > lateness ? remaining - lateness : 1n;
  },
};
