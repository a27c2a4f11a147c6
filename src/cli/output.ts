/** What goes to the terminal: results on standard output, everything else on standard error. */
import { EXIT_STATUS, type FailureSummary, KmonteError, RefusalList } from "../lib/errors.ts";

/**
 * A reader that goes away (`kmonte inspect DIR | head`) is no failure, and must not end work in progress: its EPIPE is
 * ignored. Any other trouble with standard output, such as a full disk, is told.
 */
export function outliveReaders(): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    tell(`kmonte: standard output cannot be written (${error.code ?? error.message}).`);
    process.exitCode = 1;
  });
}

/** Prints a result for a script. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

export function printLine(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** Prints a line that is not a result: a note, progress off a terminal. */
export function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Says what went wrong and sets the exit status. A defect of kmonte shows its stack, a user's mistake never does. */
export function fail(error: unknown, json: boolean): void {
  process.exitCode = error instanceof KmonteError ? EXIT_STATUS[error.kind] : 1;
  if (json) {
    const value = error instanceof KmonteError ? error : { code: "DEFECT", kind: "failed", what: String(error) };
    printJson({ error: value });
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

/** `1.3 GiB` and the like. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function formatMilliseconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}
