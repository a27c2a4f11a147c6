/** The way back: leaves this kernel for the one that the processes came from, which thaws the same images. */
import { hookedInitrd } from "./initrd.ts";
import { findKernel } from "./kernels.ts";
import { loadKernel, restartMachine, startLoadedKernel, syncDisks } from "./kexec.ts";
import { pidRangeScript } from "./pids.ts";
import { markPending, type Failure, type SwapRecord, writeRecord } from "./store.ts";
import { changeAttempt, type Here } from "./trial.ts";
import { prepareHandOver } from "../units/hand-over.ts";
import { writeGenerator } from "./free-ids.ts";
import { HeldWatchdog } from "./watchdog.ts";

export interface Departure {
  readonly root: string;
  readonly record: SwapRecord;
  readonly here: Here;
  /** The watchdog that is armed, when the caller holds it. */
  readonly watchdog?: HeldWatchdog | undefined;
}

/** Does not return. By kexec where that can be had, else through the firmware, whose default is the old kernel. */
export function goBack(departure: Departure, failure: Failure): never {
  const { root, record, here, watchdog } = departure;
  const { wayBack } = record;
  (watchdog ?? new HeldWatchdog()).stop();
  let back: "kexec" | "firmware" = "firmware";
  try {
    if (wayBack) {
      const { commandLine, pidRange } = wayBack;
      const kernel = findKernel(record.from);
      const initrd = hookedInitrd(kernel, commandLine, pidRangeScript(pidRange)).bytes;
      loadKernel({ kernel, swapId: record.id, commandLine, initrd });
      back = "kexec";
    }
  } catch (error) {
    process.stderr.write(`kmonte: note: ${error instanceof Error ? error.message : String(error)}\n`);
  }
  const { running: _, ...rest } = record;
  const noted = changeAttempt({ ...rest, state: "pending" }, here, { failure, back });
  writeRecord(root, noted);
  // This boot may have taken them away: systemd has had its units.
  prepareHandOver(record.units ?? []);
  if (wayBack) writeGenerator(wayBack.pidRange);
  markPending(root, record.id);
  syncDisks();
  try {
    if (back === "kexec") startLoadedKernel();
  } finally {
    restartMachine();
  }
}
