/**
 * Writes docs/errors.md: every code that a failure of kmonte can carry, with what it says, as the catalogue says it.
 * `node scripts/errors.ts`; a test checks that what is committed is current.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { AREAS } from "../src/errors/catalogue.ts";
import { type Entries, type Entry, isEntry } from "../src/errors/entry.ts";
import { EXIT_STATUS } from "../src/errors/failure.ts";

const ROOT = join(import.meta.dirname, "..");
const OUTPUT = join(ROOT, "docs/errors.md");

type Area = keyof typeof AREAS;

/** One text of a code, with … for what differs each time. */
interface Described {
  readonly area: Area;
  readonly code: string;
  readonly kind: Entry<never, unknown>["kind"];
  readonly transient: boolean;
  readonly what: string;
  readonly why: string | undefined;
  readonly remedy: string | undefined;
}

/** Shows as …, and so does whatever is asked of it. */
const PLACEHOLDER: object = new Proxy(
  {},
  { get: (_, name) => (name === Symbol.toPrimitive || name === "toString" ? () => "…" : PLACEHOLDER) },
);

/** All texts of all codes, in the order of the areas. */
export function describedFailures(): Described[] {
  return Object.entries(AREAS).flatMap(([area, entries]: [string, Entries]) =>
    Object.entries(entries).flatMap(([code, entry]) =>
      (isEntry(entry) ? [entry] : Object.values(entry)).map((one) => describe(area as Area, code, one)),
    ),
  );
}

function describe(area: Area, code: string, { kind, transient, tell }: Entry<never, unknown>): Described {
  const { what, why, remedy } = tell(PLACEHOLDER as never);
  return { area, code, kind, transient, what: String(what), why: textOf(why), remedy: textOf(remedy) };
}

function textOf(text: unknown): string | undefined {
  return text === undefined ? undefined : String(text).replaceAll("\n", " ").trim();
}

/** The document, as text. */
export function buildErrors(): string {
  const failures = Map.groupBy(describedFailures(), ({ code }) => code);
  const codes = [...failures.keys()].sort();
  const kinds = Object.entries(EXIT_STATUS).map(([kind, status]) => `${kind} ${status}`);
  return [
    "# Errors",
    "",
    "<!-- Made from src/errors by scripts/errors.ts (npm run errors); do not edit. -->",
    "",
    "Every failure has a code that stays the same across versions: match on it, never on the text. `--json` gives it as",
    "`error.code`; where several things are wrong at once (`CANNOT_FREEZE`, `CANNOT_THAW`), `error.refusals` lists them,",
    `each with its own code. The kind decides the exit status:`,
    `${kinds.join(", ")}. What carries the code \`DEFECT\` is a defect of kmonte: please report it.`,
    "A warning and an advice are told (`kmonte doctor`, the plan of a swap) and stop nothing.",
    "… stands for what differs each time. A system call that failed in a way that kmonte does not expect has the code",
    "`SYSCALL_` with the name of its errno, such as `SYSCALL_EINVAL`.",
    "",
    ...codes.flatMap((code) => section(code, failures.get(code) ?? [])),
  ].join("\n");
}

function section(code: string, failures: readonly Described[]): string[] {
  const lines = failures.map(({ kind, transient, what, why, remedy }) => {
    const text = [what, why, remedy]
      .filter((part) => part !== undefined)
      .map(ended)
      .join(" ");
    return `- ${kind}${transient ? " for the moment" : ""}: ${text.replaceAll("<", "\\<")}`;
  });
  return [`## ${code}`, "", ...new Set(lines), ""];
}

function ended(text: string): string {
  return /[.!?…)]$/.test(text) ? text : `${text}.`;
}

if (import.meta.main) writeFileSync(OUTPUT, buildErrors());
