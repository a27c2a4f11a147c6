/** Unit files of systemd: what values look like in them (systemd.syntax(7), systemd.service(5)), and where they go. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { failures } from "../errors/catalogue.ts";

/** Units of the administrator (systemd.unit(5)). */
export const UNIT_DIRECTORY = "/etc/systemd/system";

/** The drop-in of a unit whose processes are thawed in this boot and given to it, rather than started (units/hand-over.ts). */
export const HAND_OVER_DROP_IN = "50-kmonte-hand-over.conf";

/** What stands by itself wherever words are expected. */
const PLAIN = /^[\w/.:=@+,-]+$/;

/** Text as it stands where no words are expected: `%` begins a specifier (systemd.unit(5)). */
function unitValue(text: string): string {
  return text.replaceAll("%", "%%");
}

/** A path for ConditionPathExistsGlob=, which takes all characters of it as they are. */
export function unitGlob(path: string): string {
  return unitValue(path.replaceAll(/[\\*?[]/g, String.raw`\$&`));
}

/** One word of many: quoted where it must be. Only for what {@link requireUnitPath} has looked at, and plain text. */
export function unitWord(word: string): string {
  const text = unitValue(word);
  return PLAIN.test(text) ? text : `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** An argument of a command: `$` begins a variable there. The program itself is a {@link unitWord}. */
export function unitArgument(word: string): string {
  return unitWord(word.replaceAll("$", "$$$$"));
}

/** Refuses a path that systemd takes for no program, or that differs in what it does with a backslash. */
export function requireUnitPath(path: string, purpose: string): void {
  // eslint-disable-next-line no-control-regex
  if (!/["'\\\u0000-\u001F\u007F]/.test(path)) return;
  throw failures.PATH_NOT_FOR_UNIT({ shown: JSON.stringify(path), purpose, path });
}

/** Whether systemd runs this machine (sd_booted(3)). */
export function isSystemdRunning(): boolean {
  return existsSync("/run/systemd/system");
}

/** Writes a unit in one step, and enables it for `wantedBy`. Does nothing where it stands already. */
export function writeUnit(name: string, text: string, wantedBy?: string): void {
  const path = join(UNIT_DIRECTORY, name);
  if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    mkdirSync(UNIT_DIRECTORY, { recursive: true });
    writeFileSync(`${path}.new`, text, { mode: 0o644 });
    renameSync(`${path}.new`, path);
  }
  if (wantedBy === undefined) return;
  const wanted = join(UNIT_DIRECTORY, `${wantedBy}.wants`, name);
  if (existsSync(wanted)) return;
  mkdirSync(dirname(wanted), { recursive: true });
  symlinkSync(path, wanted);
}

/** Whether the administrator has such a unit. */
export function hasUnit(name: string): boolean {
  return existsSync(join(UNIT_DIRECTORY, name));
}

/** Removes a unit that {@link writeUnit} wrote. */
export function removeUnit(name: string): void {
  rmSync(join(UNIT_DIRECTORY, name), { force: true });
}
