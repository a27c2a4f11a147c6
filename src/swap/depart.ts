/**
 * Leaving the running kernel with processes on disk: what a swap and a suspend have in common. Whatever fails before the
 * last step leaves the machine, its units and the processes as they were; after it, the record alone brings them back.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { memoryToWrite, type MemoryToWrite } from "../freeze/write/memory-size.ts";
import type { HeldNeed } from "../freeze/check/kernel-needs.ts";
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { presentBoot } from "../sys/boot.ts";
import { dropInsOf, membersOf, prepareHandOver, removeHandOver, type MemberUnit } from "../units/hand-over.ts";
import { reloadUnits, StoppedUnits, type UnitPlan } from "../units/others.ts";
import { presentPids } from "../units/survey.ts";
import type { HealthCommand } from "./health.ts";
import { requireOpenableAtBoot } from "./boot-key.ts";
import { makeDisksReadOnly, makeDisksWritable, writableDisks } from "./disks.ts";
import { closeJournal, openJournal } from "./journal.ts";
import { syncDisks } from "./kexec.ts";
import { lockRoot, removeForgotten } from "./leftovers.ts";
import { markForMail } from "./mail.ts";
import { requireLasting } from "./mounts.ts";
import { leaveQuarantine } from "./network.ts";
import { noteConnections } from "./peers.ts";
import { guardPending } from "./pending-guard.ts";
import { GENERATOR, removeGenerator, writeGenerator } from "./free-ids.ts";
import { type PidRange, presentFreePidRange } from "./pids.ts";
import { requireRoom } from "./room.ts";
import { FrozenSets } from "./sets.ts";
import { defaultSwapRoot, markPending, newSwapDirectory, PENDING_MARK, pendingMark } from "./store.ts";
import { type SwapRecord, type WayBack, writeRecord } from "./store.ts";
import { installUnits } from "./unit.ts";
import { kernelRelease } from "../lib/kernel.ts";

export interface DepartOptions {
  /** Processes to take along, each with all its descendants. */
  readonly pids: readonly number[];
  /** Units to take along, and those that systemd stops before; none without systemd's part in it. */
  readonly plan?: UnitPlan | undefined;
  /** Where the images and the record go; on a disk. */
  readonly root?: string | undefined;
  /** Keys of age (age1…) that the images are encrypted to; the machine's own must be among them. */
  readonly encryptTo?: readonly string[] | undefined;
  /** Keeps the images when the machine is known to be well; without it nothing but their marks stays. */
  readonly keep?: boolean | undefined;
  readonly health?: HealthCommand | undefined;
  /** Who is sent the result when the machine is up again. */
  readonly mailTo?: string | undefined;
  readonly onProgress?: ProgressListener | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How this kernel is left, and what is got ready for that beforehand. */
export interface WayOut {
  readonly kind: SwapRecord["kind"];
  /** The kernel that is to come next; undefined when the boot loader decides. */
  readonly to: string | undefined;
  /** The step's name that the timeline shows last, and what it is about. */
  readonly lastStep: readonly [step: string, detail: string];
  /** Gets ready, before anything is stopped. */
  prepare(id: string): PreparedWay;
  /** Throws when what comes then cannot take what was frozen; without it, it can take all. */
  readonly requireAble?: (needs: readonly HeldNeed[]) => void;
  /** Whether the disks are this machine's alone, to be made read-only at the end. */
  readonly ownsDisks: boolean;
  /** Right before the disks are synced. */
  beforeLeaving(): void;
  /** Does not return; throws when the kernel goes on. */
  leave(): never;
  /** Undoes what `prepare`, `load` and `beforeLeaving` did. */
  cancel(): void;
}

interface PreparedWay {
  readonly wayBack?: WayBack | undefined;
  /** What the next boot goes without. */
  readonly notes?: readonly string[];
  /**
   * Has the kernel ready that comes next, when the other units have been stopped: one of them, as that of kexec-tools, may
   * start at its stop whatever is loaded.
   */
  load(): readonly TimedStep[];
}

/** Does not return when it works; whenever it throws, all goes on as before. */
export async function depart(way: WayOut, options: DepartOptions): Promise<never> {
  const root = options.root ?? defaultSwapRoot();
  requireOpenableAtBoot(options.encryptTo ?? []);
  using _ = lockRoot(root);
  removeForgotten(root);
  const { id, path } = newSwapDirectory(root);
  let frozen: FrozenSets | undefined;
  let others: StoppedOthers | undefined;
  try {
    requireLasting(path, "the images of the processes");
    const pids = [...options.pids, ...presentPids(options.plan?.along ?? [])];
    requireRoom(root, pids);
    installUnits(root);
    const { wayBack, notes = [], load } = way.prepare(id);
    tellNotes(notes);
    others = await stopOthers(options);
    const loaded = load();
    const memory = memoryToWrite(pids);
    frozen = await FrozenSets.freeze(path, options);
    options.signal?.throwIfAborted();
    way.requireAble?.(frozen.needs);
    const members = options.plan
      ? membersOf(options.plan.along, new Set(frozen.processes.map(({ pid }) => pid)))
      : undefined;
    const record = recordOf({ id, way, frozen, wayBack, members, memory, notes: [...notes, ...others.notes] }, options);
    leaveQuarantine(frozen.network, join(root, id));
    if (options.mailTo !== undefined) markForMail(path, options.mailTo);
    const allSteps = [...others.steps, ...loaded, ...frozen.steps];
    return leave({ root, record, steps: allSteps, way, freeIds: presentFreePidRange() }, options);
  } catch (error) {
    await undo(way, frozen, path);
    await others?.[Symbol.asyncDispose]();
    throw error;
  }
}

function tellNotes(notes: readonly string[]): void {
  for (const note of notes) process.stderr.write(`kmonte: note: ${note}\n`);
}

type StoppedOthers = AsyncDisposable & { readonly steps: readonly TimedStep[]; readonly notes: readonly string[] };

/** Systemd stops what does not go along, while what does still serves; disposing of it starts all of it again. */
async function stopOthers({ plan, signal, onProgress }: DepartOptions): Promise<StoppedOthers> {
  if (!plan || plan.stop.length === 0) return { steps: [], notes: [], [Symbol.asyncDispose]: () => Promise.resolve() };
  const start = Date.now();
  const amount = { total: plan.stop.length, counted: "units" };
  const report = (done: number, detail?: string): void =>
    onProgress?.({ step: "stop-others", ...(detail !== undefined && { detail }), done, ...amount, at: Date.now() });
  report(0);
  const stopped = await StoppedUnits.stop(plan.stop, { signal, onWaiting: (unit, done) => report(done, unit) });
  tellNotes(stopped.notes);
  return {
    notes: stopped.notes,
    steps: [{ step: "stop-others", start, end: Date.now() }],
    [Symbol.asyncDispose]: () => stopped[Symbol.asyncDispose](),
  };
}

interface Departure {
  readonly id: string;
  readonly way: WayOut;
  readonly frozen: FrozenSets;
  readonly wayBack: WayBack | undefined;
  readonly members: readonly MemberUnit[] | undefined;
  readonly memory: MemoryToWrite;
  readonly notes: readonly string[];
}

function recordOf(
  { id, way, frozen, wayBack, members, memory, notes }: Departure,
  { health, keep }: DepartOptions,
): SwapRecord {
  const { needs, connections } = frozen.network;
  return {
    version: 1,
    id,
    boot: presentBoot(),
    state: "pending",
    ...(way.kind && { kind: way.kind }),
    from: kernelRelease(),
    to: way.to ?? kernelRelease(),
    ...(frozen.directory !== undefined && { directory: frozen.directory }),
    processes: frozen.processes.map(({ pid, command }) => ({ pid, command })),
    memory,
    written: frozen.bytes,
    ...(notes.length > 0 && { notes: [...notes] }),
    ...(members && { units: frozen.noted(members) }),
    ...(needs.length > 0 && { network: [...needs] }),
    ...(connections.length > 0 && { connections: noteConnections(connections) }),
    steps: [],
    // Memory was copied before.
    stopped: frozen.stopped,
    ...(wayBack && { wayBack }),
    // Written down before it begins: a kernel that never says anything had its try too.
    attempts: way.to === undefined ? [] : [{ kernel: way.to, at: Date.now() }],
    ...(health && { health }),
    ...(keep && { keep: true }),
  };
}

interface Leaving {
  readonly freeIds: PidRange;
  readonly root: string;
  readonly record: SwapRecord;
  readonly steps: readonly TimedStep[];
  readonly way: WayOut;
}

/** From here on the processes come back by the record alone. */
function leave({ root, record, steps, way, freeIds }: Leaving, { onProgress }: DepartOptions): never {
  const { id } = record;
  writeRecord(root, { ...record, steps: [...steps] });
  const units = record.units ?? [];
  const disks = way.ownsDisks ? writableDisks() : [];
  using _ = guardPending(pendingMark(root, id), join(root, id), { disks, files: [GENERATOR, ...dropInsOf(units)] });
  prepareHandOver(units);
  writeGenerator(freeIds);
  markPending(root, id);
  way.beforeLeaving();
  const start = Date.now();
  onProgress?.({ step: "sync", detail: "all disks", at: start });
  try {
    closeJournal();
    syncDisks();
    writeRecord(root, { ...record, steps: [...steps, { step: "sync", start, end: Date.now() }] });
    const [step, detail] = way.lastStep;
    onProgress?.({ step, detail, at: Date.now() });
    if (way.ownsDisks) makeDisksReadOnly();
    return way.leave();
  } finally {
    makeDisksWritable(disks);
    openJournal();
  }
}

/** Nothing of a departure that did not happen stays: neither a loaded kernel, nor images that the next boot would thaw. */
async function undo(way: WayOut, frozen: FrozenSets | undefined, path: string): Promise<void> {
  way.cancel();
  rmSync(join(path, PENDING_MARK), { force: true });
  removeGenerator();
  if (removeHandOver()) reloadUnits();
  try {
    await frozen?.release();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}
