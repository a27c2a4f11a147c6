/** What several kinds say of ordinary users (`forUser` in `contract.ts`, SECURITY.md). */
import type { UserView } from "./contract.ts";
import type { Creator } from "./socket/creator.ts";

/** Every user may have it: it gives no right, and was made without one. */
export const ofAnyUser = (): readonly string[] => [];

/** SO_PEERCRED is what others trust: nobody but the user may be seen as the maker of a socket. */
export function* madeByUser({ user, pids }: UserView, creators: readonly Creator[] | undefined): Generator<string> {
  const own = creators?.every(({ pid, uid }) => uid === user.uid && pids.has(pid));
  if (own !== true) yield "It has a socket of which cannot be told who made it, or it was somebody else.";
}

/** Clocks that wake the machine need CAP_WAKE_ALARM (timerfd_create(2), timer_create(2)). */
export function* wakesNobody(clocks: readonly (string | number)[]): Generator<string> {
  if (clocks.some((clock) => String(clock).endsWith("_ALARM")))
    yield "It has a timer that wakes the machine (CAP_WAKE_ALARM).";
}
