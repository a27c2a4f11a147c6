/** What is remembered about swaps, on disk: it must outlive the kernel. One directory per swap. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { replaceFile } from "../lib/replace-file.ts";
import { syncDirectory } from "../lib/sync-directory.ts";
import { described } from "../lib/described.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError } from "../errors/failure.ts";
import { stateDirectory } from "../lib/state-directory.ts";
import { networkNeedSchema } from "../resources/socket/quarantine/requirements.ts";

export function defaultSwapRoot(): string {
  return join(stateDirectory(), "swap");
}

export function defaultRehearsalRoot(): string {
  return join(stateDirectory(), "rehearsal");
}

const seconds = (text: string) => described(v.number(), text);
const text = (about: string) => described(v.string(), about);
const flag = (about: string) => described(v.boolean(), about);
/** A moment of CLOCK_REALTIME. */
const moment = (about: string) => described(v.number(), `${about}, in milliseconds since the epoch.`);
const pid = (about = "Its process id.") => described(v.number(), about);

const StepSchema = v.object({
  step: text("Its name; docs/json.md lists them."),
  start: moment("When it began"),
  end: moment("When it ended"),
});
const ProcessSchema = v.object({ pid: pid(), command: text("Its name, as in /proc/PID/comm.") });
const FailureSchema = v.object({
  code: text("The stable code; docs/errors.md lists them."),
  what: text("What happened, in one sentence."),
  why: v.optional(text("Why.")),
  remedy: v.optional(text("What the reader can do.")),
});

const MountSchema = v.object({
  at: text("Where it is mounted."),
  source: text("What is mounted, as /proc/self/mountinfo names it."),
  options: described(v.array(v.string()), "Its mount options."),
  on: v.optional(text("The folder that it stands in, where that was mounted on itself first.")),
});

/** What systemd-machined knows of a container. */
const ContainerSchema = v.object({
  name: text("Its name."),
  id: text("Its id, in hexadecimal."),
  service: text("The program that has registered it."),
  class: text("Its class, such as container."),
  leader: pid("The process id of its first process."),
  root: text("Its root directory."),
});

/** A unit as the record of a swap has it. */
export const swapUnitSchema = v.object({
  name: text("Its name with the ending, such as nginx.service."),
  mainPid: v.optional(
    pid("The main process that systemd is told of again; without one it is the scope of a session or of a container."),
  ),
  description: text("What it is, as systemd has it (Description=)."),
  slice: text("The slice that it belongs to (Slice=)."),
  processes: described(
    v.array(
      v.object({ pid: pid(), group: text("Its control group below that of the unit; empty for the unit's own.") }),
    ),
    "The processes that it had when it was frozen.",
  ),
  login: v.optional(
    described(
      v.array(v.object({ path: text("The path of the file."), text: text("What is in it.") })),
      "Files of systemd-logind's, of the scope of a session.",
    ),
  ),
  directory: v.optional(text("The image of its own, of a unit whose thaw may fail without the others' (--tolerate).")),
  stopped: v.optional(moment("When its first process was stopped")),
  running: v.optional(moment("When its last process resumed")),
  failure: v.optional(
    described(FailureSchema, "Why its own image was not thawed, so that systemd has started it anew."),
  ),
  users: v.optional(
    described(
      v.array(v.object({ name: text("The name of the user."), id: described(v.number(), "The user id.") })),
      "The users that systemd has made up for it (DynamicUser=).",
    ),
  ),
  mounts: v.optional(
    described(v.array(MountSchema), "Overlays that no boot mounts: the root directories of containers."),
  ),
  machine: v.optional(described(ContainerSchema, "What systemd-machined knows of the container that lives in it.")),
  joinable: v.optional(
    described(v.array(v.picklist(["net", "ipc"])), "Namespaces of its own that other units may join."),
  ),
  after: v.optional(
    described(
      v.object({
        name: text("Its name."),
        activeState: text("Its state (ActiveState=): active where all is well."),
        mainPid: pid("Its main process; 0 when there is none."),
      }),
      "How systemd had it when the boot had started its units.",
    ),
  ),
});

const EndSchema = v.object({
  address: text("The IP address."),
  port: described(v.number(), "The TCP port."),
});
const ConnectionSchema = v.object({
  local: described(EndSchema, "The end on this machine."),
  remote: described(EndSchema, "The other end."),
  unit: v.optional(text("The unit that has it.")),
  heard: v.optional(
    moment("When its other end was first heard from after the thaw; none is listened for longer than a moment"),
  ),
});

/** One try at setting the processes running again, by one boot of one kernel. */
const AttemptSchema = v.object({
  kernel: text("The release of the kernel that tried, as uname -r says it."),
  boot: v.optional(text("The boot that tried; not there for a kernel that was started and never said anything.")),
  at: moment("When it began"),
  failure: v.optional(described(FailureSchema, "Why it did not do.")),
  back: v.optional(
    described(v.picklist(["kexec", "firmware"]), "How this kernel was left for the one that the processes came from."),
  ),
});

/** What the way back needs to know of the kernel that was left. */
const WayBackSchema = v.object({
  commandLine: text("Its command line."),
  pidRange: described(
    v.object({
      last: described(v.number(), "The last process id that was given out."),
      max: described(v.number(), "The limit of process ids (/proc/sys/kernel/pid_max)."),
    }),
    "Where its process ids were.",
  ),
  sysctls: described(
    v.record(v.string(), v.string()),
    "Settings of /proc/sys/kernel that the trial boot has changed, as they were.",
  ),
  watchdog: v.optional(
    described(
      v.object({ driver: text("The module that drives it."), seconds: seconds("Its timeout, in seconds.") }),
      "The watchdog that the new kernel's initramfs arms.",
    ),
  ),
});

/** A swap's record, timeline.json in its directory. Times are CLOCK_REALTIME, in milliseconds since the epoch. */
export const swapRecordSchema = v.object({
  version: described(v.literal(1), "The version of this format."),
  id: text("Its id: the time in UTC at which it began, and the name of its directory."),
  boot: text("The boot in which the processes were frozen, as /proc/sys/kernel/random/boot_id names it."),
  state: described(
    v.picklist(["pending", "trial", "done", "failed"]),
    "pending: frozen and waiting for the next boot; trial: running on the new kernel, whose health is not known yet; done: running again for good; failed: still only on disk.",
  ),
  kind: v.optional(described(v.literal("suspend"), "A swap of kernels, unless it says otherwise.")),
  from: text("The release of the kernel that was left."),
  to: text("The release of the kernel that was to come; with a suspend, of the one that was left."),
  arrived: v.optional(
    text(
      "The release of the kernel that the processes run on now, which is not `to` when the machine came up with another.",
    ),
  ),
  directory: v.optional(text("The image of all that come back together; without one, each unit has its own.")),
  processes: described(v.array(ProcessSchema), "The processes that were taken along."),
  notes: v.optional(
    described(v.array(v.string()), "What a person should know of the departure, though it stopped nothing."),
  ),
  memory: v.optional(
    described(
      v.object({
        total: described(v.number(), "All, in bytes."),
        still: described(v.number(), "Of that what was written while they were paused, in bytes."),
      }),
      "How much memory the processes had.",
    ),
  ),
  written: v.optional(described(v.number(), "How many bytes of that memory the images hold.")),
  units: v.optional(
    described(v.array(swapUnitSchema), "The units that the processes belong to, for systemd to have them back."),
  ),
  network: v.optional(described(v.array(networkNeedSchema), "What must be there of the network before the thaw.")),
  connections: v.optional(
    described(
      v.array(ConnectionSchema),
      "Connections of TCP to other machines that came along; of very many, the first ones.",
    ),
  ),
  steps: described(v.array(StepSchema), "The steps of the departure and of the boot after it, in their order."),
  stopped: moment("When the first process was stopped"),
  running: v.optional(moment("When the processes ran again")),
  failure: v.optional(described(FailureSchema, "Why they do not run again.")),
  attempts: v.optional(
    described(v.array(AttemptSchema), "Each try at setting the processes running again, by one boot of one kernel."),
  ),
  wayBack: v.optional(described(WayBackSchema, "What the way back needs to know of the kernel that was left.")),
  health: v.optional(
    described(
      v.object({ command: text("The command, for sh."), seconds: seconds("How long it may take, in seconds.") }),
      "The command that says whether all is well.",
    ),
  ),
  keep: v.optional(flag("Whether the images stay when all is well.")),
});

export type Failure = v.InferOutput<typeof FailureSchema>;
export type Attempt = v.InferOutput<typeof AttemptSchema>;
export type WayBack = v.InferOutput<typeof WayBackSchema>;
export type Connection = v.InferOutput<typeof ConnectionSchema>;
export type SwapUnit = v.InferOutput<typeof swapUnitSchema>;
export type SwapRecord = v.InferOutput<typeof swapRecordSchema>;

/** The images that units have of their own, with those units. */
export function ownImages({ units = [] }: SwapRecord): Map<string, readonly SwapUnit[]> {
  const own = units.filter(({ directory }) => directory !== undefined);
  return Map.groupBy(own, ({ directory }) => directory as string);
}

export const RECORD = "timeline.json";

/** While this file is there, the next boot thaws the swap. The unit looks for it before anything else is started. */
export const PENDING_MARK = "pending";

/** A directory for a new swap; the name begins with the time, so that names sort by age. */
export function newSwapDirectory(root: string, now = new Date()): { id: string; path: string } {
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, "");
  mkdirSync(root, { recursive: true, mode: 0o700 });
  for (let attempt = 1; ; attempt++) {
    const id = attempt === 1 ? stamp : `${stamp}-${attempt}`;
    const path = join(root, id);
    if (existsSync(path)) continue;
    mkdirSync(path, { mode: 0o700 });
    return { id, path };
  }
}

/** Writes the record so that a power cut leaves the old one or the new one, never half of one. */
export function writeRecord(root: string, record: SwapRecord): void {
  replaceFile(join(root, record.id, RECORD), `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

/** Records, oldest first. One that is broken stands in the way of those only who want it. */
export function readRecords(root: string, wanted: (id: string) => boolean = () => true): SwapRecord[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort()
    .filter((id) => wanted(id))
    .map((id) => join(root, id, RECORD))
    .filter((path) => existsSync(path))
    .map(readRecord);
}

function readRecord(path: string): SwapRecord {
  let problem: string;
  try {
    const parsed = v.safeParse(swapRecordSchema, JSON.parse(readFileSync(path, "utf8")));
    if (parsed.success) return parsed.output;
    problem = v.summarize(parsed.issues);
  } catch (error) {
    problem = String(error);
  }
  throw failures.SWAP_RECORD_BROKEN({ path, problem });
}

export function pendingMark(root: string, id: string): string {
  return join(root, id, PENDING_MARK);
}

export function markPending(root: string, id: string): void {
  writeFileSync(pendingMark(root, id), "");
}

export function unmarkPending(root: string, id: string): void {
  rmSync(pendingMark(root, id), { force: true });
  // After a power cut it must not be there again.
  if (existsSync(join(root, id))) syncDirectory(join(root, id));
}

export function isPending(root: string, id: string): boolean {
  return existsSync(pendingMark(root, id));
}

/** The records of swaps that wait. */
export function readPending(root: string): SwapRecord[] {
  return readRecords(root, (id) => isPending(root, id));
}

/** The same; one that cannot be read does not stand in the way of the others. */
export function readPendingApart(root: string): ReadApart {
  return readRecordsApart(root, (id) => isPending(root, id));
}

/** Records, oldest first, and apart from them those that cannot be read. */
export interface ReadApart {
  readonly records: SwapRecord[];
  readonly broken: { readonly id: string; readonly error: KmonteError }[];
}

export function readRecordsApart(root: string, wanted: (id: string) => boolean = () => true): ReadApart {
  const records: SwapRecord[] = [];
  const broken: { id: string; error: KmonteError }[] = [];
  const ids = existsSync(root) ? readdirSync(root).filter((id) => wanted(id)) : [];
  for (const id of ids.sort()) {
    try {
      records.push(...readRecords(root, (one) => one === id));
    } catch (error) {
      if (!(error instanceof KmonteError)) throw error;
      broken.push({ id, error });
    }
  }
  return { records, broken };
}
