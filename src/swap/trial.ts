/** What a boot does about a swap that waits: try, leave for the kernel that was there before, or leave it to a person. Pure. */
import { failures } from "../errors/catalogue.ts";
import { describe } from "./describe-failure.ts";
import type { Attempt, SwapRecord } from "./store.ts";

export interface Here {
  readonly kernel: string;
  readonly boot: string;
  /** This kernel was started for this swap, by kexec: process ids were kept free in it. */
  readonly prepared: boolean;
}

export type NextStep = "try" | "go back" | "give up";

/** Each further boot of the old kernel has less to hope for. */
const TRIES_OF_OLD = 3;
/** Whatever happens, a machine does not go round for ever. */
const TRIES = 8;

/** A new kernel has one try, and then the old one has its own. */
export function nextStep(record: SwapRecord, here: Here): NextStep {
  // Nobody chose the kernel that comes after a suspend, and there is no other to go back to.
  if (record.kind === "suspend") return "try";
  const earlier = earlierAttempts(record, here).filter(({ kernel }) => kernel === here.kernel).length;
  if ((record.attempts?.length ?? 0) >= TRIES) return "give up";
  if (here.kernel === record.from) return earlier < TRIES_OF_OLD ? "try" : "give up";
  return earlier === 0 ? "try" : "go back";
}

/** After a try that failed. `idsTaken`: what stood in the way were process ids, which a prepared boot keeps free. */
export function afterFailure(record: SwapRecord, here: Here, idsTaken: boolean): Exclude<NextStep, "try"> {
  if (record.kind === "suspend" || (record.attempts?.length ?? 0) >= TRIES) return "give up";
  if (here.kernel !== record.from) return "go back";
  return idsTaken && !here.prepared ? "go back" : "give up";
}

/** The record with this boot's try in it; a try that was announced for this kernel when it was started is this one. */
export function withAttempt(record: SwapRecord, here: Here, at: number): SwapRecord {
  const attempts = (record.attempts ?? []).filter(({ boot }) => boot !== here.boot);
  const announced = here.prepared ? announcedAttempt(attempts, here) : undefined;
  const others = attempts.filter((attempt) => attempt !== announced).map(explained);
  return { ...record, attempts: [...others, { kernel: here.kernel, boot: here.boot, at }] };
}

/** The record with changes to this boot's try. */
export function changeAttempt(record: SwapRecord, here: Here, change: Partial<Attempt>): SwapRecord {
  const attempts = (record.attempts ?? []).map((attempt) =>
    attempt.boot === here.boot ? { ...attempt, ...change } : attempt,
  );
  return { ...record, attempts };
}

/** Tries that are over: neither this boot's nor the one that was announced for it. */
function earlierAttempts(record: SwapRecord, here: Here): Attempt[] {
  const attempts = (record.attempts ?? []).filter(({ boot }) => boot !== here.boot);
  const announced = here.prepared ? announcedAttempt(attempts, here) : undefined;
  return attempts.filter((attempt) => attempt !== announced);
}

function announcedAttempt(attempts: readonly Attempt[], here: Here): Attempt | undefined {
  return attempts.findLast(({ kernel, boot }) => kernel === here.kernel && boot === undefined);
}

/** What became of a try that nobody could write down. */
function explained(attempt: Attempt): Attempt {
  if (attempt.failure) return attempt;
  const failure = attempt.boot === undefined ? failures.KERNEL_NOT_ARRIVED() : failures.KERNEL_ENDED();
  return { ...attempt, failure: describe(failure) };
}
