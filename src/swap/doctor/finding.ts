/**
 * What is found on a machine before its kernel is changed. A {@link Refusal} stands in the way, for `kmonte swap` as for
 * `kmonte doctor`; a {@link Warning} is told, and stops nothing; {@link Advice} names something less than a swap that would do.
 */
import { failures } from "../../errors/catalogue.ts";
import { Refusal, RefusalList, type Warning } from "../../errors/failure.ts";

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
  throw failures.CANNOT_SWAP({ refusals });
}

/** What a look at the machine cannot do without is not there, or not to be read: told, as what it looks for is not known. */
export function unknown(about: string, error: unknown): Warning {
  const why = String(error instanceof Error ? error.message : error);
  return failures.NOT_LOOKED_AT({ about, why });
}
