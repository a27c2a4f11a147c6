/**
 * Every failure that a person meets is one of these: what happened, why, and what to do, with a stable code for
 * scripts. Anything else that is thrown is a defect of kmonte and shows its stack.
 */

/** What kind of failure it is; decides the exit status of the command line. */
export type FailureKind = "usage" | "refused" | "failed" | "interrupted";

/** Exit statuses of the command line, by kind of failure (0 is success). */
export const EXIT_STATUS: Record<FailureKind, number> = { failed: 1, usage: 2, refused: 3, interrupted: 130 };

/** Facts about a failure that scripts read from `--json`; all are optional because failures differ. */
export interface FailureFacts {
  readonly pid?: number;
  readonly tid?: number;
  readonly fd?: number;
  readonly path?: string;
  readonly address?: string;
  readonly syscall?: string;
  readonly errno?: string;
  readonly command?: string;
  readonly resource?: string;
}

export interface FailureText {
  /** One sentence: what happened. */
  readonly what: string;
  /** One sentence: why (pid, command, descriptor, path, system call, errno by name). */
  readonly why?: string | undefined;
  /** One sentence: what the reader can do. */
  readonly remedy?: string | undefined;
}

/** What any failure says of itself; as an object from `--json` or from another thread too. */
export interface FailureSummary extends FailureText {
  readonly code: string;
}

/** A failure as an object from `--json`, with the facts that there are. */
export interface FailureObject extends FailureSummary, FailureFacts {
  readonly kind: FailureKind;
  /** Of several refusals at once: each of them. */
  readonly refusals?: readonly FailureObject[];
}

/** The one base class of failures. `code` is stable: scripts match on it, and docs/errors.md lists them. */
export class KmonteError extends Error {
  override readonly name: string = "KmonteError";
  readonly code: string;
  readonly kind: FailureKind;
  readonly what: string;
  readonly why: string | undefined;
  readonly remedy: string | undefined;
  readonly facts: FailureFacts;

  constructor(
    code: string,
    text: FailureText,
    options: { kind?: FailureKind; facts?: FailureFacts; cause?: unknown } = {},
  ) {
    super([text.what, text.why, text.remedy].filter(Boolean).join(" "), { cause: options.cause });
    this.code = code;
    this.kind = options.kind ?? "failed";
    this.what = text.what;
    this.why = text.why;
    this.remedy = text.remedy;
    this.facts = options.facts ?? {};
  }

  toJSON(): FailureObject {
    return { code: this.code, kind: this.kind, what: this.what, why: this.why, remedy: this.remedy, ...this.facts };
  }
}

/** Something that kmonte will not freeze or thaw; found while looking, before anything was touched. */
export class Refusal extends KmonteError {
  override readonly name = "Refusal";

  constructor(code: string, text: FailureText, facts: FailureFacts = {}, cause?: unknown) {
    super(code, text, { kind: "refused", facts, cause });
  }
}

/** Several refusals at once: looking goes on after the first, so that a person sees the whole list. */
export class RefusalList extends KmonteError {
  override readonly name = "RefusalList";
  readonly refusals: readonly Refusal[];

  constructor(code: string, text: FailureText, refusals: readonly Refusal[]) {
    super(code, text, { kind: "refused" });
    this.refusals = refusals;
  }

  override toJSON(): FailureObject {
    return { ...super.toJSON(), refusals: this.refusals.map((refusal) => refusal.toJSON()) };
  }
}
