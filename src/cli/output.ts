/** What goes to the terminal: results on standard output, everything else on standard error. */
import { failures } from "../errors/catalogue.ts";
import { EXIT_STATUS, type FailureSummary, KmonteError, RefusalList } from "../errors/failure.ts";
import type { Result, ResultName } from "./json/results.ts";
import { namedFailure } from "../lib/system-failure.ts";

export { formatBytes } from "../lib/format-bytes.ts";

/** It is done, but standard output did not take the result: not the status of a failure, after which one tries again. */
const RESULT_NOT_WRITTEN = 4;

/** Whether it has been said that standard output does not take what is written. */
let isTold = false;

/** A stream that fails must not end work in progress; {@link write} hears of it. */
export function outliveReaders(): void {
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
}

/**
 * Where standard output takes nothing any more, that is told, and so is what must not be lost. Only a reader that has
 * enough (`kmonte inspect DIR | head`, EPIPE) is no trouble.
 */
function write(text: string, mustBeTold = false): void {
  process.stdout.write(text, (error?: NodeJS.ErrnoException | null) => {
    if (!error) return;
    const isEnough = error.code === "EPIPE";
    if (!isEnough) process.exitCode ||= RESULT_NOT_WRITTEN;
    if (!isTold && (mustBeTold || !isEnough)) {
      isTold = true;
      tell(`kmonte: standard output cannot be written (${error.code ?? error.message}).`);
    }
    if (mustBeTold) process.stderr.write(text);
  });
}

/** Prints a result for a script: the one that has this name in json/results.ts. */
export function printJson<N extends ResultName = never>(value: NoInfer<Result<N>>): void {
  write(formatJson(value));
}

export function printLine(text = ""): void {
  write(`${text}\n`);
}

/** Prints what has been done, as JSON or in lines: on standard error, where standard output cannot be written. */
export function printOutcome<N extends ResultName = never>(
  json: boolean | undefined,
  value: NoInfer<Result<N>>,
  ...lines: readonly string[]
): void {
  write(json ? formatJson(value) : lines.map((line) => `${line}\n`).join(""), true);
}

function formatJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Prints a line that is not a result: a note, progress off a terminal. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Says what went wrong and sets the exit status. A defect of kmonte shows its stack, a user's mistake never does. */
export function fail(failure: unknown, json: boolean): void {
  const error = namedFailure(failure);
  process.exitCode = error instanceof KmonteError ? EXIT_STATUS[error.kind] : 1;
  if (json) {
    const known = error instanceof KmonteError ? error : failures.DEFECT({ what: String(error) });
    printOutcome<"error">(json, { error: known.toJSON() });
    return;
  }
  if (!(error instanceof KmonteError)) {
    tell("kmonte: this is a defect of kmonte, please report it:");
    tell(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return;
  }
  for (const line of describeFailure(error, "kmonte: ", "  ")) tell(line);
  if (error instanceof RefusalList) {
    error.refusals.forEach((refusal, i) => {
      for (const line of describeFailure(refusal, `  ${i + 1}. `, "     ")) tell(line);
    });
  }
}

/** A failure in lines: what happened with its code, then why, then what to do. */
export function describeFailure({ what, code, why, remedy }: FailureSummary, first: string, rest: string): string[] {
  return [`${first}${what} [${code}]`, ...[why, remedy].filter(Boolean).map((text) => `${rest}${text}`)];
}

/** A list of failures, warnings or the like below a heading; no line where there is none. */
export function describeFindings(heading: string, findings: readonly FailureSummary[]): string[] {
  if (findings.length === 0) return [];
  return [heading, ...findings.flatMap((finding) => describeFailure(finding, "  - ", "    "))];
}

export function formatMilliseconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** A sentence as the second part of another. */
export function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
