/**
 * What is found on a machine before its kernel is changed. A {@link Refusal} stands in the way, for `kmonte swap` as for
 * `kmonte doctor`; a {@link Warning} is told, and stops nothing; {@link Advice} names something less than a swap that would do.
 */
import { type FailureText, Refusal, RefusalList } from "../../lib/errors.ts";

/** What a person tells apart by its code, as with failures. */
abstract class Told {
  readonly code: string;
  readonly what: string;
  readonly why: string | undefined;
  readonly remedy: string | undefined;

  constructor(code: string, { what, why, remedy }: FailureText) {
    this.code = code;
    this.what = what;
    this.why = why;
    this.remedy = remedy;
  }
}

/** Something that a person should know, or see to, before a swap. */
export class Warning extends Told {
  readonly kind = "warning";
}

/** Something that may make a swap needless. */
export class Advice extends Told {
  readonly kind = "advice";
}

export type Finding = Refusal | Warning;

/** What a check that throws refuses, as findings; other failures are thrown on. */
export function refusalsOf(check: () => void): Refusal[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof RefusalList) return [...error.refusals];
    if (error instanceof Refusal) return [error];
    throw error;
  }
}

/** Throws what stands in the way: alone as it is, several as a list. */
export function refuse(refusals: readonly Refusal[]): void {
  const [first, ...more] = refusals;
  if (first && more.length === 0) throw first;
  if (first === undefined) return;
  throw new RefusalList(
    "CANNOT_SWAP",
    {
      what: `${refusals.length} things stand in the way of a change of kernel; nothing was stopped.`,
      remedy: "Do what is said of each, and look again: kmonte doctor.",
    },
    refusals,
  );
}

/** What a look at the machine cannot do without is not there, or not to be read: told, as what it looks for is not known. */
export function unknown(about: string, error: unknown): Warning {
  const why = String(error instanceof Error ? error.message : error);
  return new Warning("NOT_LOOKED_AT", {
    what: `${about} could not be looked at.`,
    why,
    remedy: "See to it that it can be, and look again: kmonte doctor.",
  });
}
