/**
 * Writes docs/support.md: every kind of resource that kmonte carries and everything that it refuses, each with the
 * programs that show it. `node scripts/support.ts`; a test checks that what is committed is current.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { allDifferences } from "../src/resources/differences.ts";
import { LOOKING } from "../src/errors/catalogue.ts";
import { describedFailures } from "./errors.ts";

const ROOT = join(import.meta.dirname, "..");
const OUTPUT = join(ROOT, "docs/support.md");

const FOLDERS: Readonly<Record<string, string>> = {
  memory: "Memory",
  process: "Processes",
  thread: "Threads",
  security: "Credentials, keys and seccomp",
  file: "Files and directories",
  volatile: "Files that no boot leaves alone",
  pipe: "Pipes and FIFOs",
  event: "Descriptors for events",
  "async-io": "Asynchronous I/O",
  bpf: "BPF",
  tty: "Terminals",
  socket: "Sockets",
  "socket/tcp": "TCP connections",
  "socket/unix": "Unix sockets",
  ipc: "System V IPC and POSIX message queues",
  namespace: "Namespaces",
  mount: "Mounts",
  net: "Network namespaces and devices",
  cgroup: "Control groups",
};

interface Program {
  readonly name: string;
  readonly about: string;
  readonly shows: readonly string[];
  readonly refuses: readonly string[];
}

/** The first sentence of a file's first comment, on one line. */
function firstSentence(comment: string): string {
  const text = comment
    .split("\n")
    .filter((line) => !line.includes("kmonte-"))
    .map((line) => line.replace(/^[\s/*#"]+/, "").replace(/(\*\/|""")\s*$/, ""))
    .join(" ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return (/^.*?[.:;](?= |$)/.exec(text)?.[0] ?? text).replace(/[:;]$/, ".");
}

/** Comments before the first line of code, directives included. */
function headComments(source: string): { text: string; directives: string } {
  const end = source.search(/^(#include|import |from )/m);
  const head = end < 0 ? source : source.slice(0, end);
  const described = [...head.matchAll(/\/\*[\s\S]*?\*\/|"""[\s\S]*?"""/g)].map(([comment]) => comment);
  const text = described.map(firstSentence).find((sentence) => sentence !== "") ?? "";
  return { text, directives: head };
}

function valuesOf(text: string, directive: string): string[] {
  return [...text.matchAll(new RegExp(`kmonte-${directive}: *(.*?)(?: *\\*/)?$`, "gm"))].flatMap((match) =>
    (match[1] ?? "").split(/[ ,]+/).filter(Boolean),
  );
}

function programs(): Program[] {
  return globSync("test/programs/*.{c,py}", { cwd: ROOT })
    .sort()
    .map((path) => {
      const { text, directives } = headComments(readFileSync(join(ROOT, path), "utf8"));
      return {
        name: basename(path),
        about: text,
        shows: valuesOf(directives, "shows"),
        refuses: valuesOf(directives, "refuses"),
      };
    });
}

function kindsIn(folder: string): { name: string; about: string }[] {
  return globSync(`src/resources/${folder}/*.ts`, { cwd: ROOT })
    .sort()
    .map((path) => ({ path, source: readFileSync(join(ROOT, path), "utf8") }))
    .filter(({ source }) =>
      /^export const \w+: (?:File|Object)Kind<|^export const \w+: (?:Process|Thread)Resource</m.test(source),
    )
    .map(({ path, source }) => ({
      name: relative("src/resources", path).replace(/\.ts$/, ""),
      about: firstSentence(/^\/\*\*[\s\S]*?\*\//.exec(source)?.[0] ?? ""),
    }));
}

const link = (name: string): string => `[${name}](../test/programs/${name})`;
const cell = (text: string): string => text.replaceAll("|", "\\|");

/** What no kernel lets anyone set, or tells anyone. */
function changed(): string[] {
  const items = allDifferences();
  return [
    "## Not as it was",
    "",
    "No kernel lets anyone set these again, or tells them without changing something. `kmonte check` says which of them",
    "processes will meet, as far as a look can tell:",
    "",
    ...items.map((item, at) => `- ${item}${at === items.length - 1 ? "." : ";"}`),
    "",
  ];
}

/** The document, as text. */
export function buildSupport(): string {
  const all = programs();
  return [
    "# What kmonte carries, and what it refuses",
    "",
    "<!-- Made from the registry of resources, the source and the test programs by scripts/support.ts (npm run support); do not edit. -->",
    "",
    "Each program named here is run by `npm test`: it makes what it is about, is frozen and ended, thawed under its own",
    "pid, and looks whether all is as it was; those under “Refused” are refused by that code before anything is touched.",
    "Everything that no row speaks of is refused by name too, or is a defect of kmonte: please report it.",
    "",
    ...Object.entries(FOLDERS).flatMap(([folder, title]) => carried(folder, title, all)),
    ...changed(),
    ...refused(all),
    "## All programs",
    "",
    "| program | what it is about |",
    "|---|---|",
    ...all.map(({ name, about }) => `| ${link(name)} | ${cell(about)} |`),
    "",
  ].join("\n");
}

function carried(folder: string, title: string, all: readonly Program[]): string[] {
  const rows = kindsIn(folder).map(({ name, about }) => {
    const showing = all.filter((program) => program.shows.includes(name));
    const carrying = showing.filter((program) => program.refuses.length === 0);
    // Some kinds are there to refuse by name what no other takes.
    const shown = carrying.length > 0 ? carrying : showing;
    return `| ${basename(name)} | ${cell(about)} | ${shown.map((program) => link(program.name)).join(" ")} |`;
  });
  return [`## ${title}`, "", "| kind | what | shown by |", "|---|---|---|", ...rows, ""];
}

/** Every refusal that the kinds and the look can give; of several texts of a code, the first. */
function refused(all: readonly Program[]): string[] {
  const rows = new Map<string, string>();
  for (const { area, code, kind, what, why, remedy } of describedFailures()) {
    if (kind !== "refused" || !LOOKING.includes(area) || rows.has(code)) continue;
    const text = [what, why].filter(Boolean).join(" ");
    const shown = all.filter((program) => program.refuses.includes(code)).map((program) => link(program.name));
    rows.set(code, `| \`${code}\` | ${cell(text)} | ${cell(remedy ?? "")} | ${shown.join(" ")} |`);
  }
  const sorted = [...rows.keys()].sort().map((code) => rows.get(code) ?? "");
  return ["## Refused", "", "| code | what and why | way out | shown by |", "|---|---|---|---|", ...sorted, ""];
}

if (import.meta.main) writeFileSync(OUTPUT, buildSupport());
