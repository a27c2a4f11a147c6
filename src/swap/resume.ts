/** The swap's second half, in the new kernel's boot: sets the frozen running again and completes the timeline. */
import { spawnSync } from "node:child_process";
import { release } from "node:os";
import { resolve } from "node:path";
import { KmonteError, RefusalList } from "../lib/errors.ts";
import type { ProgressListener } from "../lib/progress.ts";
import { thaw, type ThawReport } from "../thaw/thaw.ts";
import { bootSteps, readBootTimes } from "./boot-times.ts";
import { waitForNetwork } from "./network.ts";
import { notifyReady } from "./notify.ts";
import { Scope } from "./scope.ts";
import { DEFAULT_SWAP_ROOT, isPending, presentBoot, readRecords, type SwapRecord } from "./store.ts";
import { unmarkPending, writeRecord } from "./store.ts";
import { keepTmp } from "./tmp-files.ts";

export interface ResumeOptions {
  readonly root?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/**
 * Thaws every pending swap, oldest first, and gives their records. One that fails does not keep back the others. The
 * boot waits for those that need nothing of the network; then it goes on, and the others come back when the network is
 * as they need it. Until then the rules that the unit has loaded keep their connections silent.
 */
export async function resumePendingSwaps(options: ResumeOptions = {}): Promise<SwapRecord[]> {
  const root = options.root ?? DEFAULT_SWAP_ROOT;
  const boot = presentBoot();
  // In the boot that froze them they are still there, held by whoever is about to leave it.
  const pending = readRecords(root).filter((record) => isPending(root, record.id) && record.boot !== boot);
  if (pending.length > 0) keepTmp();
  for (const record of pending) keepClockForward(record);
  const { now = [], later = [] } = Object.groupBy(pending, ({ network = [] }) =>
    network.length > 0 ? "later" : "now",
  );
  const results: SwapRecord[] = [];
  for (const record of now) results.push(await bringBack(root, record, options));
  notifyReady();
  for (const record of later) results.push(await bringBack(root, record, options));
  return results;
}

/** Notes that a swap's processes were thawed by hand, so that the next boot does not thaw them a second time. */
export function settleSwap(directory: string, root: string = DEFAULT_SWAP_ROOT): void {
  for (const record of readRecords(root)) {
    if (record.directory !== resolve(directory) || !isPending(root, record.id)) continue;
    unmarkPending(root, record.id);
    writeRecord(root, { ...record, state: "done", running: Date.now(), arrived: release() });
  }
}

async function bringBack(root: string, record: SwapRecord, options: ResumeOptions): Promise<SwapRecord> {
  const arrived = release();
  const ready = Date.now();
  let report: ThawReport;
  try {
    report = await thaw({
      directory: record.directory,
      after: waitForNetwork(record.network ?? [], options.signal),
      ...(options.onProgress && { onProgress: options.onProgress }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    // The mark stays: another boot, perhaps of the old kernel, tries again with the same images.
    const failed: SwapRecord = { ...record, state: "failed", arrived, failure: describe(error) };
    writeRecord(root, failed);
    return failed;
  }
  // They run: whatever goes wrong from here on, they must not be thawed a second time.
  const running = Date.now();
  unmarkPending(root, record.id);
  await house(record.id, report.processes);
  const left = record.steps.at(-1)?.end ?? record.stopped;
  const thawing = report.steps[0]?.start ?? running;
  const booted = bootSteps(readBootTimes(), left, record.network ? ready : thawing);
  const network = record.network ? [{ step: "network", start: ready, end: thawing }] : [];
  const steps = [...record.steps, ...booted, ...network, ...report.steps];
  const { failure: _, ...rest } = record;
  const done: SwapRecord = { ...rest, state: "done", arrived, steps, running };
  writeRecord(root, done);
  return done;
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

function describe(error: unknown): NonNullable<SwapRecord["failure"]> {
  if (!(error instanceof KmonteError))
    return { code: "DEFECT", what: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  const { code, what, remedy } = error;
  const refusals = error instanceof RefusalList ? error.refusals.map((refusal) => refusal.message) : [];
  const why = [error.why, ...refusals].filter((line) => line !== undefined).join("\n") || undefined;
  return { code, what, ...(why !== undefined && { why }), ...(remedy !== undefined && { remedy }) };
}
