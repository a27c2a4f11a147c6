/**
 * Writes docs/support.md: every kind of resource that kmonte carries and everything that it refuses, each with the
 * programs that show it. `node scripts/support.ts`; a test checks that what is committed is current.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
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
const CHANGED = [
  "## Not as it was",
  "",
  "No kernel lets anyone set these again, or tells them without changing something:",
  "",
  "- the times that shmctl(2), semctl(2) and msgctl(2) show, of System V objects that are made again;",
  "- inode numbers and st_ctim of files without a name, and of what lay in memory (tmpfs) and had to be made again;",
  "- events of inotify(7) that nobody had read: the kernel tells that some were lost (IN_Q_OVERFLOW) in their place, and",
  "  the number of a watch that was removed last may be given again;",
  "- whether a file of O_TMPFILE was opened with O_EXCL as well: it may be given a name after the thaw;",
  "- the count of a blocking write(2) to a pipe or socket that had been done in part: the call returns it, as it does",
  "  when the process is stopped and continued;",
  "- who may trace a process by its own leave (PR_SET_PTRACER of prctl(2)): Yama keeps that to itself;",
  "- how often a timer had expired while its signal waited (timer_getoverrun(2)): counted from its last expiration on;",
  "- which thread of a process made a child, which only __WNOTHREAD of waitpid(2) asks for: it is the first one's. A",
  "  death signal that depends on it is refused (PARENT_THREAD);",
  "- the numbers of keys (keyctl(2)), which the kernel chooses: programs find keys by their descriptions;",
  "- the rules of a Landlock domain, which are told to nobody once they are in force (landlock(7));",
  "- the time at which a process or thread started (field 22 of /proc/PID/stat, ps -o lstart), which is that of the",
  "  thaw: whoever knows processes by id and start time (ProcessHandle of Java, psutil, runc) takes them for others;",
  "- CPU time used so far (getrusage(2), CLOCK_PROCESS_CPUTIME_ID), which begins anew;",
  "- the name that /proc shows for a file or folder without one, when something else stands under that name by now.",
  "",
];

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
    ...CHANGED,
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
