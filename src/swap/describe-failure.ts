/** A failure as a record keeps it. */
import { failures } from "../errors/catalogue.ts";
import { KmonteError, RefusalList } from "../errors/failure.ts";
import type { Failure } from "./store.ts";

export function describe(error: unknown): Failure {
  if (!(error instanceof KmonteError))
    return describe(failures.DEFECT({ what: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
  const { code, what, remedy } = error;
  const refusals = error instanceof RefusalList ? error.refusals.map((refusal) => refusal.message) : [];
  const why = [error.why, ...refusals].filter((line) => line !== undefined).join("\n") || undefined;
  return { code, what, ...(why !== undefined && { why }), ...(remedy !== undefined && { remedy }) };
}
