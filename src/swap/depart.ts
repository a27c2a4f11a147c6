/**
 * Leaving the running kernel with processes on disk: what a swap and a suspend have in common. Whatever fails before the
 * last step leaves the machine, its units and the processes as they were; after it, the record alone brings them back.
 */
import { rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { freeze, type FrozenSet } from "../freeze/freeze.ts";
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { carriedPaths } from "../units/carried.ts";
import { presentBoot } from "../abi/boot.ts";
import { dropInsOf, membersOf, prepareHandOver, removeHandOver, type MemberUnit } from "../units/hand-over.ts";
import { reloadUnits, StoppedUnits, type UnitPlan } from "../units/others.ts";
import { pidsOf } from "../units/survey.ts";
import type { HealthCommand } from "./health.ts";
import { requireOpenableAtBoot } from "./boot-key.ts";
import { makeDisksReadOnly, makeDisksWritable, writableDisks } from "./disks.ts";
import { syncDisks } from "./kexec.ts";
import { lockRoot, removeForgotten } from "./leftovers.ts";
import { requireLasting } from "./mounts.ts";
import { leaveSilence } from "./network.ts";
import { guardPending } from "./pending-guard.ts";
import { DEFAULT_SWAP_ROOT, markPending, newSwapDirectory, PENDING_MARK, pendingMark } from "./store.ts";
import { type SwapRecord, type WayBack, writeRecord } from "./store.ts";
import { installUnits } from "./unit.ts";

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
  prepare(id: string): { readonly steps: readonly TimedStep[]; readonly wayBack?: WayBack | undefined };
  /** Whether the disks are this machine's alone, to be made read-only at the end. */
  readonly ownsDisks: boolean;
  /** Right before the disks are synced. */
  beforeLeaving(): void;
  /** Does not return; throws when the kernel goes on. */
  leave(): never;
  /** Undoes what `prepare` and `beforeLeaving` did. */
  cancel(): void;
}

/** Does not return when it works; whenever it throws, all goes on as before. */
export async function depart(way: WayOut, options: DepartOptions): Promise<never> {
  const root = options.root ?? DEFAULT_SWAP_ROOT;
  requireOpenableAtBoot(options.encryptTo ?? []);
  using _ = lockRoot(root);
  removeForgotten(root);
  const { id, path } = newSwapDirectory(root);
  let frozen: FrozenSet | undefined;
  let others: StoppedOthers | undefined;
  try {
    requireLasting(path, "the images of the processes");
    installUnits(root);
    const { steps, wayBack } = way.prepare(id);
    others = await stopOthers(options);
    frozen = await freezeAll(path, options);
    options.signal?.throwIfAborted();
    const members = options.plan
      ? membersOf(options.plan.along, new Set(frozen.processes.map(({ pid }) => pid)))
      : undefined;
    const record = recordOf({ id, way, frozen, wayBack, members }, options);
    leaveSilence(frozen.network, join(root, id));
    return leave({ root, record, steps: [...steps, ...others.steps, ...frozen.steps], way }, options);
  } catch (error) {
    await undo(way, frozen, path);
    await others?.[Symbol.asyncDispose]();
    throw error;
  }
}

type StoppedOthers = AsyncDisposable & { readonly steps: readonly TimedStep[] };

/** Systemd stops what does not go along, while what does still serves; disposing of it starts all of it again. */
async function stopOthers({ plan, signal, onProgress }: DepartOptions): Promise<StoppedOthers> {
  if (!plan || plan.stop.length === 0) return { steps: [], [Symbol.asyncDispose]: () => Promise.resolve() };
  const start = Date.now();
  onProgress?.({ step: "stop-others", detail: `${plan.stop.length} units`, at: start });
  const stopped = await StoppedUnits.stop(plan.stop, signal);
  return {
    steps: [{ step: "stop-others", start, end: Date.now() }],
    [Symbol.asyncDispose]: () => stopped[Symbol.asyncDispose](),
  };
}

function freezeAll(path: string, { pids, plan, encryptTo, onProgress, signal }: DepartOptions): Promise<FrozenSet> {
  // What has ended since the plan was made is in nobody's way.
  const ofUnits = plan?.along.flatMap(pidsOf) ?? [];
  return freeze({
    pids: [...new Set([...pids, ...ofUnits])],
    directory: join(path, "frozen"),
    end: "hold",
    ...(plan && { carry: carriedPaths(plan.along) }),
    ...(encryptTo && { encryptTo }),
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
}

interface Departure {
  readonly id: string;
  readonly way: WayOut;
  readonly frozen: FrozenSet;
  readonly wayBack: WayBack | undefined;
  readonly members: readonly MemberUnit[] | undefined;
}

function recordOf({ id, way, frozen, wayBack, members }: Departure, { health, keep }: DepartOptions): SwapRecord {
  const { needs } = frozen.network;
  return {
    version: 1,
    id,
    boot: presentBoot(),
    state: "pending",
    ...(way.kind && { kind: way.kind }),
    from: release(),
    to: way.to ?? release(),
    directory: frozen.directory,
    processes: frozen.processes.map(({ pid, command }) => ({ pid, command })),
    ...(members && { units: members.map(asRecorded) }),
    ...(needs.length > 0 && { network: [...needs] }),
    steps: [],
    // Memory was copied before.
    stopped: frozen.steps.find(({ step }) => step === "stop")?.start ?? Date.now(),
    ...(wayBack && { wayBack }),
    // Written down before it begins: a kernel that never says anything had its try too.
    attempts: way.to === undefined ? [] : [{ kernel: way.to, at: Date.now() }],
    ...(health && { health }),
    ...(keep && { keep: true }),
  };
}

function asRecorded({ users, joinable, mounts, ...unit }: MemberUnit): NonNullable<SwapRecord["units"]>[number] {
  const lists = {
    ...(users && { users: [...users] }),
    ...(joinable && { joinable: [...joinable] }),
    ...(mounts && { mounts: mounts.map((one) => ({ ...one, options: [...one.options] })) }),
  };
  return { ...unit, processes: [...unit.processes], ...lists };
}

interface Leaving {
  readonly root: string;
  readonly record: SwapRecord;
  readonly steps: readonly TimedStep[];
  readonly way: WayOut;
}

/** From here on the processes come back by the record alone. */
function leave({ root, record, steps, way }: Leaving, { onProgress }: DepartOptions): never {
  const { id } = record;
  writeRecord(root, { ...record, steps: [...steps] });
  const units = record.units ?? [];
  const disks = way.ownsDisks ? writableDisks() : [];
  using _ = guardPending(pendingMark(root, id), join(root, id), { disks, dropIns: dropInsOf(units) });
  prepareHandOver(units);
  markPending(root, id);
  way.beforeLeaving();
  const start = Date.now();
  onProgress?.({ step: "sync", detail: "all disks", at: start });
  syncDisks();
  writeRecord(root, { ...record, steps: [...steps, { step: "sync", start, end: Date.now() }] });
  const [step, detail] = way.lastStep;
  onProgress?.({ step, detail, at: Date.now() });
  try {
    if (way.ownsDisks) makeDisksReadOnly();
    return way.leave();
  } finally {
    makeDisksWritable(disks);
  }
}

/** Nothing of a departure that did not happen stays: neither a loaded kernel, nor images that the next boot would thaw. */
async function undo(way: WayOut, frozen: FrozenSet | undefined, path: string): Promise<void> {
  way.cancel();
  rmSync(join(path, PENDING_MARK), { force: true });
  if (removeHandOver()) reloadUnits();
  try {
    await frozen?.release();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}
