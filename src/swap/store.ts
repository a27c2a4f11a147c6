/** What is remembered about swaps, on disk: it must outlive the kernel. One directory per swap. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { replaceFile } from "../lib/replace-file.ts";
import { syncDirectory } from "../lib/sync-directory.ts";
import { KmonteError } from "../lib/errors.ts";
import { stateDirectory } from "../lib/state-directory.ts";
import { networkNeedSchema } from "../resources/files/sockets/surroundings.ts";

export const DEFAULT_SWAP_ROOT = join(stateDirectory(), "swap");
export const DEFAULT_REHEARSAL_ROOT = join(stateDirectory(), "rehearsal");

const StepSchema = v.object({ step: v.string(), start: v.number(), end: v.number() });
const ProcessSchema = v.object({ pid: v.number(), command: v.string() });
const FailureSchema = v.object({
  code: v.string(),
  what: v.string(),
  why: v.optional(v.string()),
  remedy: v.optional(v.string()),
});

const UnitSchema = v.object({
  name: v.string(),
  /** The main process that systemd is told of again; without one it is the scope of a session. */
  mainPid: v.optional(v.number()),
  description: v.string(),
  slice: v.string(),
  processes: v.array(v.object({ pid: v.number(), group: v.string() })),
  /** Files of logind's, of the scope of a session. */
  login: v.optional(v.array(v.object({ path: v.string(), text: v.string() }))),
  /** The image of its own, of a unit whose thaw may fail without the others' (--tolerate). */
  directory: v.optional(v.string()),
  /** When its first process stood still, and when its last one went on. */
  stopped: v.optional(v.number()),
  running: v.optional(v.number()),
  /** Why its own image was not thawed, so that systemd has started it anew. */
  failure: v.optional(FailureSchema),
  /** The users that systemd has made up for it. */
  users: v.optional(v.array(v.object({ name: v.string(), id: v.number() }))),
  /** Mounts of the machine that no boot makes, with the root directories of containers. */
  mounts: v.optional(
    v.array(v.object({ at: v.string(), source: v.string(), options: v.array(v.string()), on: v.optional(v.string()) })),
  ),
  /** What systemd-machined knows of the container that lives in it. */
  machine: v.optional(
    v.object({
      name: v.string(),
      id: v.string(),
      service: v.string(),
      class: v.string(),
      leader: v.number(),
      root: v.string(),
    }),
  ),
  /** Namespaces of its own that other units may join. */
  joinable: v.optional(v.array(v.picklist(["net", "ipc"]))),
  /** How systemd had it when the boot had started its units. */
  after: v.optional(v.object({ name: v.string(), activeState: v.string(), mainPid: v.number() })),
});

const EndSchema = v.object({ address: v.string(), port: v.number() });
const ConnectionSchema = v.object({
  local: EndSchema,
  remote: EndSchema,
  /** The unit that has it. */
  unit: v.optional(v.string()),
  /** When its other end was first heard from after the thaw; none is listened for longer than a moment. */
  heard: v.optional(v.number()),
});

/** One try at setting the processes running again, by one boot of one kernel. */
const AttemptSchema = v.object({
  kernel: v.string(),
  /** The boot that tried; not there for a kernel that was started and never said anything. */
  boot: v.optional(v.string()),
  at: v.number(),
  failure: v.optional(FailureSchema),
  /** How this kernel was left for the one that the processes came from. */
  back: v.optional(v.picklist(["kexec", "firmware"])),
});

/** What the way back needs to know of the kernel that was left. */
const WayBackSchema = v.object({
  commandLine: v.string(),
  pidRange: v.object({ last: v.number(), max: v.number() }),
  /** Settings of /proc/sys/kernel that the trial boot has changed, as they were. */
  sysctls: v.record(v.string(), v.string()),
  /** The watchdog that the new kernel's initramfs arms, and its seconds. */
  watchdog: v.optional(v.object({ driver: v.string(), seconds: v.number() })),
});

/** A swap's record, timeline.json in its directory. Times are CLOCK_REALTIME, in milliseconds since the epoch. */
export const swapRecordSchema = v.object({
  version: v.literal(1),
  id: v.string(),
  /** The boot in which the processes were frozen, as /proc/sys/kernel/random/boot_id names it. */
  boot: v.string(),
  /**
   * pending: frozen and waiting for the next boot; trial: running on the new kernel, whose health is not known yet;
   * done: running again for good; failed: still only on disk.
   */
  state: v.picklist(["pending", "trial", "done", "failed"]),
  /** A swap of kernels, unless it says otherwise. */
  kind: v.optional(v.literal("suspend")),
  from: v.string(),
  /** The kernel that was to come; with a suspend, the one that was left. */
  to: v.string(),
  /** The kernel that the processes run on now, which is not `to` when the machine came up with another. */
  arrived: v.optional(v.string()),
  /** The image of all that come back together; without one, each unit has its own. */
  directory: v.optional(v.string()),
  processes: v.array(ProcessSchema),
  /** What a person should know of the departure, though it stopped nothing. */
  notes: v.optional(v.array(v.string())),
  /** How much memory they had, in bytes: all, and of that what was written while they stood still. */
  memory: v.optional(v.object({ total: v.number(), still: v.number() })),
  /** How many bytes of it the images hold. */
  written: v.optional(v.number()),
  /** The units that the processes belong to, for systemd to have them back. */
  units: v.optional(v.array(UnitSchema)),
  /** What must be there of the network before the thaw. */
  network: v.optional(v.array(networkNeedSchema)),
  /** Connections of TCP to other machines that came along; of very many, the first ones. */
  connections: v.optional(v.array(ConnectionSchema)),
  steps: v.array(StepSchema),
  /** When the first process was stopped, and when they ran again. */
  stopped: v.number(),
  running: v.optional(v.number()),
  failure: v.optional(FailureSchema),
  attempts: v.optional(v.array(AttemptSchema)),
  wayBack: v.optional(WayBackSchema),
  /** The command that says whether all is well, and how long it may take. */
  health: v.optional(v.object({ command: v.string(), seconds: v.number() })),
  /** The images stay when all is well. */
  keep: v.optional(v.boolean()),
});

export type Failure = v.InferOutput<typeof FailureSchema>;
export type Attempt = v.InferOutput<typeof AttemptSchema>;
export type WayBack = v.InferOutput<typeof WayBackSchema>;
export type Connection = v.InferOutput<typeof ConnectionSchema>;
/** A unit as the record of a swap has it. */
export type SwapUnit = v.InferOutput<typeof UnitSchema>;
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
  throw new KmonteError(
    "SWAP_RECORD_BROKEN",
    {
      what: `The record of a swap cannot be read: ${path}.`,
      why: problem,
      remedy: "Thaw its directory by hand (kmonte thaw), then move the record out of the way.",
    },
    { facts: { path } },
  );
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
