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

interface FailureOptions {
  readonly kind?: FailureKind;
  readonly facts?: FailureFacts | undefined;
  readonly cause?: unknown;
  readonly transient?: boolean;
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
  /** Whether it passes by itself in a moment, so that another look is worth while. */
  readonly transient: boolean;

  constructor(code: string, text: FailureText, options: FailureOptions = {}) {
    super([text.what, text.why, text.remedy].filter(Boolean).join(" "), { cause: options.cause });
    this.code = code;
    this.kind = options.kind ?? "failed";
    this.what = text.what;
    this.why = text.why;
    this.remedy = text.remedy;
    this.facts = options.facts ?? {};
    this.transient = options.transient ?? false;
  }

  toJSON(): FailureObject {
    return { code: this.code, kind: this.kind, what: this.what, why: this.why, remedy: this.remedy, ...this.facts };
  }
}

/** Something that kmonte will not freeze or thaw; found while looking, before anything was touched. */
export class Refusal extends KmonteError {
  override readonly name = "Refusal";

  constructor(code: string, text: FailureText, options: Omit<FailureOptions, "kind"> = {}) {
    super(code, text, { ...options, kind: "refused" });
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

/** What is told and stops nothing. */
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
