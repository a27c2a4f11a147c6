/** The swap's second half, in the new kernel's boot: sets the frozen running again and completes the timeline. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmonteError, RefusalList } from "../errors/failure.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { presentBoot } from "../sys/boot.ts";
import { clearOneTimeEntry } from "./one-time-entry.ts";
import { bootSteps, readBootTimes } from "./boot-times.ts";
import { failures } from "../errors/catalogue.ts";
import { describe } from "./describe-failure.ts";
import { endQuarantine } from "./network.ts";
import { notifyReady } from "./notify.ts";
import { firstEnded } from "../thaw/resume/liveness.ts";
import { forget } from "./leftovers.ts";
import { Scope } from "./scope.ts";
import { askHealth } from "./health.ts";
import { presentSwap } from "./kexec.ts";
import {
  defaultSwapRoot,
  readPending,
  readPendingApart,
  readRecords,
  type SwapRecord,
  type SwapUnit,
} from "./store.ts";
import { unmarkPending, writeRecord } from "./store.ts";
import { keepTmp, removeOldPrivateTmp } from "./tmp-files.ts";
import { afterFailure, changeAttempt, type Here, nextStep, withAttempt } from "./trial.ts";
import { releaseUsers, reserveUsers } from "../units/dynamic-users.ts";
import { announceThawed, finishHandOver, startAnew, usersOf } from "../units/hand-over.ts";
import { type ThawedSets, thawSets } from "./thaw-sets.ts";
import { HeldWatchdog } from "./watchdog.ts";
import { removeGenerator } from "./free-ids.ts";
import { Peers } from "./peers.ts";
import { goBack } from "./way-back.ts";
import { kernelRelease } from "../lib/kernel.ts";

export interface ResumeOptions {
  readonly root?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/**
 * Thaws every pending swap, oldest first, and gives their records; throws at the end where a record cannot be read. One
 * that fails does not keep back the others; on a
 * kernel that is being tried it does not return, but goes back to the kernel that the processes came from. The boot
 * waits for those that need nothing of the network; then it goes on, and the others come back when the network is as
 * they need it. Until then the rules that the unit has loaded keep their connections silent.
 */
export async function resumePendingSwaps(options: ResumeOptions = {}): Promise<SwapRecord[]> {
  const root = options.root ?? defaultSwapRoot();
  const boot = presentBoot();
  // In the boot that froze them they are still there, held by whoever is about to leave it.
  const { records, broken } = readPendingApart(root);
  const pending = records.filter((record) => record.boot !== boot);
  if (pending.length > 0) keepTmp();
  for (const record of pending) keepClockForward(record);
  // Those that come back later need their ids as well, before the boot goes on.
  reserveUsers(usersOf(pending.flatMap(({ units = [] }) => units)));
  const { now = [], later = [] } = Object.groupBy(pending, ({ network = [] }) =>
    network.length > 0 ? "later" : "now",
  );
  const results: SwapRecord[] = [];
  for (const record of now) results.push(await bringBack(root, record, options));
  notifyReady();
  for (const record of later) results.push(await bringBack(root, record, options));
  const [first] = broken;
  if (first) throw first.error;
  return results;
}

/** Once the boot has started its units: sees to it that those of this boot's swaps have their processes, and notes how they are. */
export async function handOverUnits(root: string = defaultSwapRoot()): Promise<SwapRecord[]> {
  const boot = presentBoot();
  const results: SwapRecord[] = [];
  for (const found of readRecords(root)) {
    const record = await whenThawed(root, found, hereFor(found));
    const isOurs = record.attempts?.some((attempt) => attempt.boot === boot && !attempt.failure);
    if (!record.units || !isOurs || record.running === undefined) continue;
    const states = await finishHandOver(record.units);
    removeOldPrivateTmp(boot);
    // The trial may have changed it meanwhile.
    const now = readRecords(root, (id) => id === record.id)[0] ?? record;
    const units = record.units.map((unit) => ({ ...unit, after: states.find(({ name }) => name === unit.name) }));
    const noted = { ...now, units };
    writeRecord(root, noted);
    results.push(noted);
  }
  return results;
}

/**
 * The end of a trial: asks the health command of each swap that waits for its word, and settles the swap or goes back.
 * Whoever calls it with `failed` knows already that this boot did not go well.
 */
export async function endTrials(options: ResumeOptions & { readonly failed?: boolean } = {}): Promise<SwapRecord[]> {
  const root = options.root ?? defaultSwapRoot();
  const results: SwapRecord[] = [];
  for (const pending of readPending(root)) {
    const here = hereFor(pending);
    const record = options.failed ? pending : await whenThawed(root, pending, here);
    if (record.boot === here.boot || (here.kernel === record.from && record.state !== "trial")) continue;
    if (options.failed) goBack({ root, record, here }, describe(failures.TRIAL_UNFINISHED()));
    if (record.state !== "trial") continue;
    using watchdog = here.prepared && record.wayBack?.watchdog ? new HeldWatchdog() : undefined;
    const failure = record.health && (await askHealth(record.health));
    if (failure) goBack({ root, record, here, watchdog }, failure);
    results.push(settle(root, record));
    watchdog?.stop();
    discard(root, record);
  }
  return results;
}

/** Those that need the network may come back later than all else has been started. */
async function whenThawed(root: string, record: SwapRecord, here: Here): Promise<SwapRecord> {
  let now: SwapRecord | undefined = record;
  while (now?.state === "pending" && now.attempts?.some(({ boot }) => boot === here.boot)) {
    await delay(500);
    [now] = readRecords(root, (id) => id === record.id);
  }
  return now ?? record;
}

function hereFor(record: SwapRecord): Here {
  return { kernel: kernelRelease(), boot: presentBoot(), prepared: presentSwap() === record.id };
}

/** The processes stay here: nothing of the way back is needed any more. */
function settle(root: string, record: SwapRecord): SwapRecord {
  unmark(root, record.id);
  clearOneTimeEntry();
  if (kernelRelease() !== record.from) restoreSettings(record.wayBack?.sysctls ?? {});
  const done: SwapRecord = { ...record, state: "done" };
  writeRecord(root, done);
  return done;
}

/** A boot that comes later has nothing to thaw any more, and no ids to leave free, unless another swap waits. */
function unmark(root: string, id: string): void {
  unmarkPending(root, id);
  const { records, broken } = readPendingApart(root);
  if (records.length === 0 && broken.length === 0) removeGenerator();
}

/** What the trial boot set for itself alone. */
function restoreSettings(sysctls: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(sysctls)) {
    try {
      writeFileSync(`/proc/sys/kernel/${name}`, value);
    } catch (error) {
      process.stderr.write(`kmonte: note: kernel.${name} stays as it is: ${String(error)}\n`);
    }
  }
}

/**
 * Notes that a swap's processes were thawed by hand, so that the next boot does not thaw them a second time. Returns what
 * a person should know of records that cannot be read.
 */
export function settleSwap(directory: string, root: string = defaultSwapRoot()): string[] {
  const thawed = resolve(directory);
  const { records, broken } = readPendingApart(root);
  for (const record of records) {
    if (record.directory !== thawed) continue;
    // Whoever thaws by hand says by hand what is to be removed.
    settle(root, { ...record, keep: true, running: Date.now(), arrived: kernelRelease() });
  }
  return broken.map(({ id, error }) => {
    if (!thawed.startsWith(`${join(root, id)}/`)) return error.message;
    unmark(root, id);
    return `${error.what} The next boot does not thaw it any more: its processes run.`;
  });
}

async function bringBack(root: string, pending: SwapRecord, options: ResumeOptions): Promise<SwapRecord> {
  const here = hereFor(pending);
  const step = nextStep(pending, here);
  if (step === "give up") return pending;
  if (step === "go back") goBack({ root, record: pending, here }, describe(failures.KERNEL_TRIED_BEFORE()));
  // Armed by this boot's initramfs; on the old kernel nobody has armed one.
  const isWatched = here.prepared && here.kernel !== pending.from && pending.wayBack?.watchdog !== undefined;
  using watchdog = isWatched ? new HeldWatchdog() : undefined;
  const record = withAttempt(pending, here, Date.now());
  // On disk before anything is tried: a boot that ends in the middle counts.
  writeRecord(root, record);
  const onProgress: ProgressListener = (event) => {
    watchdog?.ping();
    options.onProgress?.(event);
  };
  let thawedSets: ThawedSets;
  try {
    thawedSets = await thawSets(record, { ...options, onProgress });
  } catch (error) {
    const failure = describe(error);
    if (afterFailure(record, here, idsTaken(error)) === "go back") goBack({ root, record, here, watchdog }, failure);
    if (record.units) {
      // What has gone on without them is not to be met by their past at some later boot.
      unmark(root, record.id);
      startUnitsAnew(root, record.id, record.units, false);
    }
    // Otherwise the mark stays: another boot tries again with the same images.
    const failed = changeAttempt({ ...record, state: "failed", arrived: here.kernel, failure }, here, { failure });
    writeRecord(root, failed);
    watchdog?.stop();
    return failed;
  }
  // They run: whatever goes wrong from here on, they must not be thawed a second time in this boot.
  const { running, units } = thawedSets;
  using peers = new Peers(record.connections ?? [], units);
  const onTrial = record.health !== undefined && here.kernel !== record.from;
  if (!onTrial) unmark(root, record.id);
  await house(record.id, thawedSets.processes);
  announceThawed(units?.filter(({ failure }) => !failure) ?? []);
  const failed = units?.filter(({ failure }) => failure) ?? [];
  if (failed.length > 0) startUnitsAnew(root, record.id, failed, true);
  const left = record.steps.at(-1)?.end ?? record.stopped;
  const [verify, ...thawing] = thawedSets.steps;
  const booted = bootSteps(readBootTimes(), left, verify?.start ?? running);
  // The image is verified while the network comes up.
  const network = { step: "network", start: verify?.end ?? running, end: thawing[0]?.start ?? running };
  const { failure: _, ...rest } = record;
  const steps = [
    ...record.steps,
    ...booted,
    ...(verify ? [verify] : []),
    ...(record.network ? [network] : []),
    ...thawing,
  ];
  const connections = await peers.heard(running);
  const thawed: SwapRecord = {
    ...rest,
    ...(connections.length > 0 && { connections }),
    ...(units && { units: [...units] }),
    state: "trial",
    arrived: here.kernel,
    steps,
    running,
  };
  if (onTrial) {
    watchdog?.extend();
    writeRecord(root, thawed);
    return thawed;
  }
  watchdog?.stop();
  const done = settle(root, thawed);
  const ended = firstEnded(thawedSets.living);
  if (ended === undefined) {
    discard(root, record);
    return done;
  }
  process.stderr.write(`kmonte: note: the images are kept: process ${ended} has ended already.\n`);
  writeRecord(root, { ...done, keep: true });
  return { ...done, keep: true };
}

/** Units that could not be thawed are systemd's to start; nothing is kept silent for their old processes any more. */
function startUnitsAnew(root: string, id: string, units: readonly SwapUnit[], others: boolean): void {
  endQuarantine(join(root, id));
  startAnew(units, others);
  releaseUsers(usersOf(units));
}

/** The machine is well and the processes run: nothing is kept of their memory, unless it was asked for. */
function discard(root: string, record: SwapRecord): void {
  try {
    forget(root, record);
  } catch (error) {
    process.stderr.write(`kmonte: note: the images of ${record.id} could not be removed: ${String(error)}\n`);
  }
}

function idsTaken(error: unknown): boolean {
  const list = error instanceof RefusalList ? error.refusals : [error];
  return list.some((one) => one instanceof KmonteError && ["PID_TAKEN", "PID_LOST"].includes(one.code));
}

/** Moves them out of the unit's control group. Where that fails they stay in it: the unit ends without ending them. */
async function house(id: string, processes: readonly { pid: number }[]): Promise<void> {
  // Only now that they run: asking systemd takes longer than thawing.
  using scope = new Scope(`kmonte-${id}`);
  try {
    await scope.adopt(processes.map(({ pid }) => pid));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`kmonte: note: the processes run, in the control group of the unit. ${why}\n`);
  }
}

/** The new kernel took the time of day from the machine's clock; programs must not see it earlier than before. */
function keepClockForward(record: SwapRecord): void {
  const last = Math.max(record.stopped, ...record.steps.map((step) => step.end));
  if (Date.now() > last) return;
  spawnSync("date", ["--set", `@${(last + 1) / 1000}`], { stdio: "ignore" });
}
