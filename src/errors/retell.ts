/** Failures that have been told once and are told again: to another thread or process, or with more to say. */
import {
  type FailureFacts,
  type FailureKind,
  type FailureText,
  KmonteError,
  Refusal,
  RefusalList,
  Warning,
} from "./failure.ts";

interface Told extends FailureText {
  readonly code: string;
  readonly facts?: FailureFacts;
}

/** A failure of which another thread or process has told. */
export function rebuildFailure(kind: FailureKind, told: Told): KmonteError {
  if (kind === "refused") return rebuildRefusal(told);
  const { code, facts, ...text } = told;
  return new KmonteError(code, text, { kind, facts });
}

export function rebuildRefusal({ code, facts, ...text }: Told): Refusal {
  return new Refusal(code, text, { facts });
}

export function rebuildList({ code, what, why, remedy }: Told, refusals: readonly Refusal[]): RefusalList {
  return new RefusalList(code, { what, why, remedy }, refusals);
}

/** The same failure in other words. */
export function retold(error: KmonteError, text: FailureText): KmonteError {
  if (error instanceof RefusalList) return new RefusalList(error.code, text, error.refusals);
  return new KmonteError(error.code, text, { kind: error.kind, facts: error.facts, cause: error });
}

/** A failure that stops nothing where it is met. */
export function asWarning(error: KmonteError): Warning {
  return new Warning(error.code, error);
}
