/**
 * Which units are protected, that is, taken along by a swap: names and patterns (glob(7)) of units, a line each, in the
 * files *.conf of /etc/kmonte/protect.d. `kmonte protect` writes local.conf there; other files are an administrator's.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { failures } from "../errors/catalogue.ts";
import { fullName } from "./unit.ts";

export const PROTECT_DIRECTORY = "/etc/kmonte/protect.d";
/** The file that `kmonte protect` and `unprotect` change. */
const LOCAL = "local.conf";

const HEADER = `# Units that kmonte swap takes along, a name or a pattern a line. Written by kmonte protect; may be edited.
`;

/** A name or pattern with the file that it stands in. */
export interface Protection {
  readonly pattern: string;
  readonly file: string;
}

/** All lines of all files, in the order of the files' names. A # begins a comment. */
export function readProtections(directory: string = PROTECT_DIRECTORY): Protection[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith(".conf"))
    .sort()
    .flatMap((name) => {
      const file = join(directory, name);
      return parseProtections(readFileSync(file, "utf8"), file);
    });
}

/** The lines of one file; throws a {@link Refusal} for one that can be no name of a unit. */
function parseProtections(text: string, file: string): Protection[] {
  return text.split("\n").flatMap((line, i) => {
    const pattern = line.replace(/#.*/, "").trim();
    if (pattern === "") return [];
    if (!isPattern(pattern)) {
      throw failures.PROTECT_FILE({ file, line: i + 1, pattern: JSON.stringify(pattern) });
    }
    return [{ pattern: fullPattern(pattern), file }];
  });
}

/** Characters of unit names (systemd.unit(5)) and of patterns. */
function isPattern(text: string): boolean {
  return /^[A-Za-z0-9:_.\\@*?[\]!-]+$/.test(text);
}

/** `*` stands for every service; other patterns without an ending are services', as systemctl has it. */
function fullPattern(pattern: string): string {
  return pattern === "*" ? "*.service" : fullName(pattern);
}

export function isProtected(unit: string, protections: readonly Protection[]): boolean {
  return protections.some(({ pattern }) => fits(unit, pattern));
}

/** Whether one of some names or patterns, as a person gives them, stands for the unit. */
export function matches(unit: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => fits(unit, fullPattern(pattern)));
}

/** A name stands for itself: its `\x2d` (systemd-escape(1)) is no pattern's. */
function fits(unit: string, pattern: string): boolean {
  return unit === pattern || matchesGlob(unit, pattern);
}

/** Adds names or patterns; returns those that were not there yet. */
export function addProtections(patterns: readonly string[], directory: string = PROTECT_DIRECTORY): string[] {
  for (const pattern of patterns) requirePattern(pattern);
  const known = new Set(readProtections(directory).map(({ pattern }) => pattern));
  const added = [...new Set(patterns.map(fullPattern))].filter((pattern) => !known.has(pattern));
  if (added.length === 0) return [];
  const before = readLocal(directory);
  writeLocal(directory, `${before}${before.endsWith("\n") ? "" : "\n"}${added.join("\n")}\n`);
  return added;
}

/** Takes names or patterns away. Throws a {@link Refusal} for one that no file has, or another file than ours. */
export function removeProtections(patterns: readonly string[], directory: string = PROTECT_DIRECTORY): void {
  const protections = readProtections(directory);
  const ours = join(directory, LOCAL);
  const wanted = new Set(patterns.map(fullPattern));
  for (const pattern of wanted) {
    const found = protections.filter((one) => one.pattern === pattern);
    const other = found.find(({ file }) => file !== ours);
    if (other) {
      throw failures.PROTECTED_ELSEWHERE({ pattern, file: other.file });
    }
    if (found.length > 0) continue;
    const wider = protections.find((one) => fits(pattern, one.pattern));
    throw failures.NOT_PROTECTED({ pattern, wider: wider?.pattern, file: wider?.file, directory });
  }
  const lines = readLocal(directory).split("\n");
  const kept = lines.filter((line) => {
    const pattern = line.replace(/#.*/, "").trim();
    return pattern === "" || !wanted.has(fullPattern(pattern));
  });
  writeLocal(directory, kept.join("\n"));
}

function requirePattern(pattern: string): void {
  if (isPattern(pattern)) return;
  throw failures.NO_SUCH_UNIT.pattern({ pattern: JSON.stringify(pattern) });
}

function readLocal(directory: string): string {
  const path = join(directory, LOCAL);
  return existsSync(path) ? readFileSync(path, "utf8") : HEADER;
}

function writeLocal(directory: string, text: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const path = join(directory, LOCAL);
  writeFileSync(`${path}.new`, text, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}
