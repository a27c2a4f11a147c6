/** The swap's second half, in the new kernel's boot: sets the frozen running again and completes the timeline. */
import { spawnSync } from "node:child_process";
import { release } from "node:os";
import { KmonteError } from "../lib/errors.ts";
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { thaw } from "../thaw/thaw.ts";
import { bootSteps, readBootTimes } from "./boot-times.ts";
import { Scope } from "./scope.ts";
import { DEFAULT_SWAP_ROOT, isPending, presentBoot, readRecords, type SwapRecord } from "./store.ts";
import { unmarkPending, writeRecord } from "./store.ts";
import { keepTmp } from "./tmp-files.ts";

export interface ResumeOptions {
  readonly root?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** Thaws every pending swap, oldest first, and gives their records. One that fails does not keep back the others. */
export async function resumePendingSwaps(options: ResumeOptions = {}): Promise<SwapRecord[]> {
  const root = options.root ?? DEFAULT_SWAP_ROOT;
  const boot = presentBoot();
  // In the boot that froze them they are still there, held by whoever is about to leave it.
  const pending = readRecords(root).filter((record) => isPending(root, record.id) && record.boot !== boot);
  const results: SwapRecord[] = [];
  for (const record of pending) results.push(await resume(root, record, options));
  return results;
}

/** Notes that a swap's processes were thawed by hand, so that the next boot does not thaw them a second time. */
export function settleSwap(directory: string, root: string = DEFAULT_SWAP_ROOT): void {
  for (const record of readRecords(root)) {
    if (record.directory !== directory || !isPending(root, record.id)) continue;
    unmarkPending(root, record.id);
    writeRecord(root, { ...record, state: "done", running: Date.now(), arrived: release() });
  }
}

async function resume(root: string, record: SwapRecord, options: ResumeOptions): Promise<SwapRecord> {
  const began = Date.now();
  keepTmp();
  keepClockForward(record);
  using scope = new Scope(`kmonte-${record.id}`);
  let result: SwapRecord;
  try {
    const report = await thaw({
      directory: record.directory,
      ...(options.onProgress && { onProgress: options.onProgress }),
      ...(options.signal && { signal: options.signal }),
    });
    const running = Date.now();
    await house(scope, report.processes);
    const left = record.steps.at(-1)?.end ?? record.stopped;
    const steps: TimedStep[] = [...record.steps, ...bootSteps(readBootTimes(), left, began), ...report.steps];
    result = { ...record, state: "done", arrived: release(), steps, running };
    unmarkPending(root, record.id);
  } catch (error) {
    // The mark stays: another boot, perhaps of the old kernel, tries again with the same images.
    result = { ...record, state: "failed", arrived: release(), failure: describe(error) };
  }
  writeRecord(root, result);
  return result;
}

/** Without a scope they stay where they are, in the unit's group; the unit leaves them alone when it ends. */
async function house(scope: Scope, processes: readonly { pid: number }[]): Promise<void> {
  try {
    await scope.adopt(processes.map(({ pid }) => pid));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)} They stay in the unit’s.\n`);
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
  const { code, what, why, remedy } = error;
  return { code, what, ...(why !== undefined && { why }), ...(remedy !== undefined && { remedy }) };
}
