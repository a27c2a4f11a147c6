/** GRUB's one-time entry (grub-reboot(8)): a variable in grubenv that grub.cfg reads before its default. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";

const VARIABLE = "next_entry";
/** GRUB writes into the blocks of this file itself: it has one size for ever. */
const SIZE = 1024;
const HEADER = "# GRUB Environment Block\n";

interface Entry {
  /** Titles or ids from the outermost menu on, as GRUB joins them. */
  readonly path: string;
  readonly kernel: string;
  readonly recovery: boolean;
}

/** Chooses the kernel's entry for the next boot alone; false where there is no GRUB that can be told. */
export function setGrubEntry(release: string, directory = "/boot/grub"): boolean {
  const places = grubFiles(directory);
  if (!places) return false;
  const entry = findEntry(readFileSync(places.config, "utf8"), release);
  if (entry === undefined) return false;
  writeEnvironment(places.environment, withVariable(readFileSync(places.environment, "latin1"), VARIABLE, entry));
  return true;
}

/** Takes the choice back; also where GRUB could not do so itself (its file on a disk that it only reads). */
export function clearGrubEntry(directory = "/boot/grub"): void {
  const places = grubFiles(directory);
  if (!places) return;
  const present = readFileSync(places.environment, "latin1");
  if (!new RegExp(`^${VARIABLE}=.`, "m").test(present)) return;
  writeEnvironment(places.environment, withVariable(present, VARIABLE, undefined));
}

function grubFiles(directory: string): { config: string; environment: string } | undefined {
  const places = { config: join(directory, "grub.cfg"), environment: join(directory, "grubenv") };
  if (!existsSync(places.config) || !existsSync(places.environment)) return undefined;
  return readFileSync(places.config, "utf8").includes(VARIABLE) ? places : undefined;
}

/** The path of the menu entry that starts this kernel in the ordinary way. Pure. */
export function findEntry(config: string, release: string): string | undefined {
  const entries = parseEntries(config).filter(({ kernel }) => kernel === `vmlinuz-${release}`);
  return (entries.find(({ recovery }) => !recovery) ?? entries[0])?.path;
}

/** Menus and entries of a grub.cfg as grub-mkconfig writes it: a brace at the end of a line opens, one alone closes. */
function parseEntries(config: string): Entry[] {
  const entries: Entry[] = [];
  const open: (string | undefined)[] = [];
  for (const line of config.split("\n").map((text) => text.trim())) {
    const menu = /^(?:submenu|menuentry)\s+(?:'([^']*)'|"([^"]*)")(?:.*menuentry_id_option\s+'([^']*)')?.*\{$/.exec(
      line,
    );
    if (menu) open.push(menu[3] ?? menu[1] ?? menu[2]);
    else if (line.endsWith("{")) open.push(undefined);
    else if (line === "}") open.pop();
    const kernel = /^linux(?:16|efi)?\s+(\S+)(.*)$/.exec(line);
    const names = open.filter((name) => name !== undefined);
    if (!kernel || names.length === 0) continue;
    const recovery = /\b(single|recovery)\b/.test(kernel[2] ?? "");
    entries.push({ path: names.join(">"), kernel: basename(kernel[1] ?? ""), recovery });
  }
  return entries;
}

/** What GRUB reads is of a fixed size, and others keep things there too. */
export class GrubBlockFull extends Error {
  override readonly name = "GrubBlockFull";
}

/** The environment block with a variable set or taken away. Pure. */
function withVariable(block: string, name: string, value: string | undefined): string {
  const lines = block
    .slice(HEADER.length)
    .replace(/#+$/, "")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith(`${name}=`));
  if (value !== undefined) lines.push(`${name}=${value.replaceAll("\\", "\\\\").replaceAll("\n", "\\\n")}`);
  const text = HEADER + lines.map((line) => `${line}\n`).join("");
  if (text.length > SIZE) throw new GrubBlockFull("GRUB's environment block is full");
  return text.padEnd(SIZE, "#");
}

/** In place: GRUB remembers on which blocks of the disk the file lies. */
function writeEnvironment(path: string, block: string): void {
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.from(block, "latin1"), 0, SIZE, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
