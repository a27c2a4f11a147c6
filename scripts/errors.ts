/**
 * Writes docs/errors.md: every code that a failure of kmonte can carry, found in the source itself, with what it says.
 * `node scripts/errors.ts`; a test checks that what is committed is current.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXIT_STATUS, type FailureKind } from "../src/lib/errors.ts";
import { callArguments, textOf } from "./source-text.ts";

const ROOT = join(import.meta.dirname, "..");
const OUTPUT = join(ROOT, "docs/errors.md");

interface Failure {
  readonly code: string;
  /** A failure's kind, or what is told without one. */
  readonly kind: FailureKind | "warning" | "advice";
  readonly what: string | undefined;
  readonly why: string | undefined;
  readonly remedy: string | undefined;
}

/** A function inside a file that makes failures with a code that it is given. */
interface Helper {
  readonly name: string;
  readonly parameters: readonly string[];
  readonly kind: FailureKind;
  /** Text that it adds itself. */
  readonly body: string;
}

const CODE = /["'`]([A-Z][A-Z0-9_]*(?:\$\{\w+\})?)["'`]/g;

function helpersIn(source: string): Helper[] {
  return [...source.matchAll(/(?:const|function) (\w+)(?: = )?(\(code: string[^)]*\))/g)].map((match) => {
    const made = /new (Refusal|KmonteError)\(/.exec(source.slice(match.index));
    const at = made ? match.index + made.index + made[0].length : source.length;
    return {
      name: match[1] ?? "",
      parameters: [...(match[2] ?? "").matchAll(/(\w+)\??:/g)].map((parameter) => parameter[1] ?? ""),
      kind: made?.[1] === "Refusal" ? "refused" : "failed",
      body: callArguments(source, at).join(","),
    };
  });
}

export function failuresIn(source: string): Failure[] {
  const helpers = helpersIn(source);
  const names = [
    "new Refusal",
    "new RefusalList",
    "new KmonteError",
    "new Warning",
    "new Advice",
    ...helpers.map((helper) => helper.name),
  ];
  if (source.includes("extends KmonteError")) names.push("super");
  const calls = source.matchAll(new RegExp(`(?<![\\w.])(${names.join("|")})\\(`, "g"));
  const inCalls = [...calls].flatMap((match) => {
    const [first = "", ...rest] = callArguments(source, match.index + match[0].length);
    const helper = helpers.find(({ name }) => name === match[1]);
    const codes = [...first.matchAll(CODE)].map((found) => found[1] ?? "");
    return codes.map((code) =>
      describe(
        code.replace(/\$\{(\w+)\}/, (_, name: string) => name.toUpperCase()),
        match[1] ?? "",
        rest,
        helper,
      ),
    );
  });
  return [...inCalls, ...inTables(source)];
}

/** Rows of a table: `{ code: "X", what: …, remedy: … }`. What stands for a defect of kmonte is no row. */
function inTables(source: string): Failure[] {
  return [...source.matchAll(/\{[^{}]*\bcode: ["']([A-Z][A-Z0-9_]+)["'][^{}]*\}/g)]
    .map((match) => describe(match[1] ?? "", "new Refusal", [match[0]], undefined))
    .filter(({ code }) => code !== "DEFECT");
}

function describe(code: string, callee: string, rest: readonly string[], helper: Helper | undefined): Failure {
  const whole = rest.join(",");
  const find = (field: string): string | undefined => {
    const position = helper ? helper.parameters.indexOf(field) - 1 : -1;
    return textOf(rest[position], undefined) ?? textOf(whole, field) ?? textOf(helper?.body, field);
  };
  const kind = /\bkind: ["'](\w+)["']/.exec(whole)?.[1] as FailureKind | undefined;
  const refused = callee.startsWith("new Refusal") || helper?.kind === "refused";
  return {
    code,
    kind: kind ?? toldAs(callee) ?? (refused ? "refused" : "failed"),
    what: find("what"),
    why: find("why"),
    remedy: find("remedy"),
  };
}

function toldAs(callee: string): "warning" | "advice" | undefined {
  if (callee === "new Warning") return "warning";
  return callee === "new Advice" ? "advice" : undefined;
}

/** The document, as text. */
export function buildErrors(): string {
  const failures = new Map<string, Failure[]>();
  for (const file of globSync("src/**/*.ts", { cwd: ROOT }).sort()) {
    for (const failure of failuresIn(readFileSync(join(ROOT, file), "utf8"))) {
      failures.set(failure.code, [...(failures.get(failure.code) ?? []), failure]);
    }
  }
  const codes = [...failures.keys()].sort();
  const kinds = Object.entries(EXIT_STATUS).map(([kind, status]) => `${kind} ${status}`);
  return [
    "# Errors",
    "",
    "<!-- Made from the source by scripts/errors.ts (npm run errors); do not edit. -->",
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

function section(code: string, failures: readonly Failure[]): string[] {
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const { kind, what, why, remedy } of failures) {
    const text = [what, why, remedy]
      .filter((part) => part !== undefined)
      .map(ended)
      .join(" ");
    const line = `- ${kind}${text === "" ? "" : `: ${text}`}`;
    if (!seen.has(line)) lines.push(line);
    seen.add(line);
  }
  return [`## ${code}`, "", ...lines, ""];
}

function ended(text: string): string {
  return /[.!?…)]$/.test(text) ? text : `${text}.`;
}

if (import.meta.main) writeFileSync(OUTPUT, buildErrors());
