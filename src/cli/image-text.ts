/** An image in lines for people: what each process is and holds. `--json` has everything; this has what one looks for. */
import type { Image } from "../image/read.ts";
import { bytesIn } from "../resources/memory/pages.ts";
import { formatBytes } from "./output.ts";

type State = Image["state"];
type Process = State["processes"][number];
type Body = NonNullable<Process["body"]>;

/** Longer values are not shown, and longer lines are cut. */
const LONGEST = 60;
const LINE = 150;
/** What only a loader or a debugger wants to know. */
const UNINTERESTING = new Set(["layout", "signalActions", "limits"]);

export function describeImage({ directory, manifest, state, format }: Image): string[] {
  const size = manifest.files.reduce((sum, file) => sum + file.size, 0);
  const { hostname, kernel } = manifest.machine;
  return [
    `${directory}: frozen ${manifest.createdAt} on ${hostname}, Linux ${kernel}`,
    `format ${format}${writer(manifest.kmonte)}, ${manifest.files.length} files, ${formatBytes(size)}, all digests right`,
    ...state.processes.flatMap((process) => ["", ...describeProcess(process, state)]),
    ...describeObjects(state),
  ].map((line) => (line.length > LINE ? `${line.slice(0, LINE - 2)} …` : line));
}

function writer(version: string | undefined): string {
  return version === undefined ? "" : ` (kmonte ${version})`;
}

function describeProcess(process: Process, state: State): string[] {
  const { pid, ppid, pgid, sid, command, body, zombie, stopped } = process;
  const head = `${pid}  ${command}  (parent ${ppid}, group ${pgid}, session ${sid})`;
  if (!body) return [head, `    has ended, ${describeStatus(zombie?.status ?? 0)}`];
  const threads = `${body.threads.length} ${body.threads.length === 1 ? "thread" : "threads"}`;
  return [
    head,
    `    ${threads}, ${body.mappings.length} mappings, ${formatBytes(bytesIn(body.mappings))} of own memory`,
    ...(stopped === undefined ? [] : [`    stopped by ${stopped}`]),
    ...describeThreads(body),
    ...Object.entries(body.resources).flatMap(([name, value]) => describeResource(name, value)),
    ...body.descriptors.map(({ fd, file }) => `    fd ${String(fd).padEnd(4)} ${describeFile(state, file)}`),
  ];
}

/** A status word of wait(2). */
function describeStatus(status: number): string {
  const signal = status & 0x7f;
  return signal === 0 ? `exit status ${(status >> 8) & 0xff}` : `killed by signal ${signal}`;
}

function describeThreads(body: Body): string[] {
  if (body.threads.length === 1) return [];
  const ids = body.threads.map(({ tid }) => tid);
  return [`    threads ${ids.slice(0, 12).join(" ")}${ids.length > 12 ? ` and ${ids.length - 12} more` : ""}`];
}

function describeResource(name: string, value: unknown): string[] {
  const text = UNINTERESTING.has(name) ? "" : scalars(value);
  return text === "" ? [] : [`    ${name}: ${text}`];
}

function describeFile(state: State, id: string): string {
  const file = state.files[id];
  if (!file) return id;
  const details = file.state as Record<string, unknown>;
  const shared = Object.values(details).find((value) => typeof value === "string" && value in state.objects);
  const object = typeof shared === "string" ? state.objects[shared] : undefined;
  const position = file.position === "0" ? "" : `at ${file.position}`;
  const about = [typeof shared === "string" && object?.kind !== "path-file" ? shared : "", scalars(object ?? details)];
  return [file.kind, file.flags, position, ...about].filter(Boolean).join("  ");
}

function describeObjects(state: State): string[] {
  const objects = Object.entries(state.objects).filter(([, { kind }]) => kind !== "path-file");
  if (objects.length === 0) return [];
  return [
    "",
    "shared by files and mappings:",
    ...objects.map(([id, object]) => `    ${object.kind}  ${id}  ${scalars(object)}`),
  ];
}

/** The plain values of a state with their names, one level of nesting included: `path=/tmp/x size=12`. */
function scalars(value: unknown, prefix = ""): string {
  if (typeof value !== "object" || value === null) return "";
  return Object.entries(value)
    .flatMap(([name, item]) => {
      if (typeof item === "object" && item !== null && prefix === "") return [scalars(item, `${name}.`)];
      if (!["string", "number", "boolean"].includes(typeof item) || name === "kind") return [];
      const text = String(item);
      return text.length > LONGEST || text === "" ? [] : [`${prefix}${name}=${text}`];
    })
    .filter(Boolean)
    .join(" ");
}
