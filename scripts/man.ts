/**
 * Writes man/: kmonte(1) and a page for each verb, from the same definitions that --help shows. `node scripts/man.ts`;
 * a test checks that what is committed is current. The format is man(7).
 */
import type { EventEmitter } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { createProgram } from "../src/cli/program.ts";

const DIRECTORY = join(import.meta.dirname, "../man");

/** All pages by file name. */
export function buildManualPages(): Record<string, string> {
  const program = createProgram();
  const pages: Record<string, string> = { "kmonte.1": mainPage(program) };
  for (const command of program.commands) pages[`kmonte-${command.name()}.1`] = verbPage(command, program);
  return pages;
}

function mainPage(program: Command): string {
  const verbs = program.commands.flatMap((command) => [
    ".TP",
    `.BR kmonte\\-${roff(command.name())} (1)`,
    roff(sentence(command.description())),
  ]);
  return page([
    ...head("kmonte", "change the kernel under running programs", program.version() ?? ""),
    ".SH SYNOPSIS",
    ".B kmonte",
    ".I command",
    "[\\fIoption\\fR ...]",
    ".SH DESCRIPTION",
    roff(program.description()),
    ".SH COMMANDS",
    ...verbs,
    ".SH OPTIONS",
    ...options(program),
    ...trailer(program),
    ".SH ENVIRONMENT",
    ".TP",
    "KMONTE_KEYS",
    "Where the signing key and the trusted keys are; /etc/kmonte for root and ~/.config/kmonte for others if it is not set.",
    ".SH FILES",
    ".TP",
    "/var/lib/kmonte/swap",
    "Images and timelines of swaps, a directory for each.",
    ".TP",
    "/var/lib/prometheus/node\\-exporter/kmonte.prom",
    "Metrics of the last swap, written after it where that folder is.",
    ".TP",
    "/etc/kmonte/metrics.conf",
    "Other folders for these metrics, one a line; an empty file turns them off.",
    ".TP",
    "/etc/systemd/system/kmonte\\-thaw.service",
    "Thaws at boot what a swap froze; written by kmonte swap.",
    ".SH SEE ALSO",
    ".BR gdb (1),",
    ".BR ptrace (2),",
    ".BR kexec_file_load (2),",
    ".BR core (5)",
  ]);
}

function verbPage(command: Command, program: Command): string {
  return page([
    ...head(`kmonte-${command.name()}`, command.description(), program.version() ?? ""),
    ".SH SYNOPSIS",
    `.B kmonte ${roff(command.name())}`,
    roff(command.usage()),
    ".SH DESCRIPTION",
    roff(sentence(command.description())),
    ...command.registeredArguments.flatMap((argument) => [
      ".TP",
      `.I ${roff(argument.name())}`,
      roff(sentence(argument.description)),
    ]),
    ...command.commands.flatMap((child) => [
      ".TP",
      `.B ${roff(`${child.name()} ${child.usage()}`)}`,
      roff(sentence(child.description())),
    ]),
    ".SH OPTIONS",
    ...options(command),
    ...trailer(command),
    ".SH EXIT STATUS",
    "See",
    ".BR kmonte (1);",
    "docs/json.md beside kmonte says what is printed with \\-\\-json.",
  ]);
}

function head(name: string, summary: string, version: string): string[] {
  return [
    '.\\" Made by scripts/man.ts (npm run man); do not edit.',
    `.TH ${name.toUpperCase()} 1 "" "kmonte ${version}" "kmonte"`,
    ".SH NAME",
    `${roff(name)} \\- ${roff(summary)}`,
  ];
}

function options(command: Command): string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .flatMap((option) => [
      ".TP",
      `.B ${roff(help.optionTerm(option))}`,
      roff(sentence(help.optionDescription(option))),
    ]);
}

/** Few words and a colon; a sentence that ends in one has a comma or a full stop in it. */
const HEADING = /^\w[\w ]*:$/;

/** What --help says below the options: paragraphs, and indented lines as they stand; a line that ends in : is a heading. */
function trailer(command: Command): string[] {
  let text = "";
  (command as unknown as EventEmitter).emit("afterHelp", {
    error: false,
    command,
    write: (part: string) => (text += part),
  });
  const lines: string[] = text.trim() === "" || HEADING.test(text.trim().split("\n")[0] ?? "") ? [] : [".SH NOTES"];
  let verbatim = false;
  for (const line of text.trim().split("\n")) {
    const indented = line.startsWith(" ");
    if (indented !== verbatim) lines.push(indented ? ".nf" : ".fi");
    verbatim = indented;
    if (HEADING.test(line)) lines.push(`.SH ${line.slice(0, -1).toUpperCase()}`);
    else lines.push(line === "" ? ".PP" : roff(line));
  }
  if (verbatim) lines.push(".fi");
  return lines.filter((line, i) => line !== ".PP" || !/^\.(SH|PP)/.test(lines[i + 1] ?? ".SH"));
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** Backslashes and hyphens mean something to roff, and so do dots and quotes at the start of a line. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");
}

function page(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}

if (import.meta.main) {
  mkdirSync(DIRECTORY, { recursive: true });
  for (const [name, text] of Object.entries(buildManualPages())) writeFileSync(join(DIRECTORY, name), text);
}
