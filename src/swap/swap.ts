/** The swap's first half: freeze, and leave for another kernel. The other half is resume.ts, at that kernel's boot. */
import { rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { check, freeze, type FrozenSet } from "../freeze/freeze.ts";
import { Refusal } from "../lib/errors.ts";
import type { ProgressListener, TimedStep } from "../lib/progress.ts";
import { presentBoot } from "../proc/read.ts";
import { clearOneTimeEntry, setOneTimeEntry } from "./one-time-entry.ts";
import { requireAbleKernel } from "./kernel-config.ts";
import { findKernel, type Kernel } from "./kernels.ts";
import { loadKernel, presentCommandLine, startLoadedKernel, syncDisks, unloadKernel } from "./kexec.ts";
import { requireLasting } from "./mounts.ts";
import { leaveSilence } from "./network.ts";
import { pidRangeScript, presentFreePidRange } from "./pids.ts";
import { requireOpenableAtBoot } from "./boot-key.ts";
import { lockRoot, removeForgotten } from "./leftovers.ts";
import { PendingGuard } from "./pending-guard.ts";
import { DEFAULT_SWAP_ROOT, markPending, newSwapDirectory, PENDING_MARK, pendingMark } from "./store.ts";
import { type WayBack, writeRecord } from "./store.ts";
import { changedSettings, trialCommandLine } from "./trial-settings.ts";
import { installUnits } from "./unit.ts";
import { type BootWatchdog, bootWatchdog, DEFAULT_DEADLINE_SECONDS } from "./watchdog.ts";
import type { HealthCommand } from "./health.ts";

export interface SwapOptions {
  /** The kernel: a release, the beginning of one, or the path of an image. */
  readonly to: string;
  /** The processes to take along, each with all its descendants. */
  readonly pids: number[];
  /** Where the images and the record go; on a disk. */
  readonly root?: string;
  /** Asked when the new kernel has come up: if it fails, the machine goes back to the old one. */
  readonly health?: HealthCommand;
  /** Keys of age (age1…) that the images are encrypted to; the machine's own must be among them. */
  readonly encryptTo?: readonly string[];
  /** Keeps the images when the machine is known to be well; without it nothing but their marks stays. */
  readonly keep?: boolean;
  /** More words for the new kernel's command line, after the present ones. */
  readonly append?: string;
  /** How long the new kernel has before a watchdog restarts the machine. */
  readonly deadlineSeconds?: number;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** Changes the kernel under the processes. Does not return when it works; whenever it throws, all goes on as before. */
export async function swap(options: SwapOptions): Promise<never> {
  const root = options.root ?? DEFAULT_SWAP_ROOT;
  requireRoot();
  requireOpenableAtBoot(options.encryptTo ?? []);
  const kernel = findKernel(options.to);
  await requireAbleTarget(kernel, options.pids);
  using _ = lockRoot(root);
  removeForgotten(root);
  const { id, path } = newSwapDirectory(root);
  let frozen: FrozenSet | undefined;
  try {
    requireLasting(path, "the images of the processes");
    installUnits(root);
    const watchdog = bootWatchdog(kernel, options.deadlineSeconds ?? DEFAULT_DEADLINE_SECONDS);
    const wayBack = presentWayBack(watchdog);
    const load = timed("load", options, kernel.release, () => {
      loadKernel({
        kernel,
        swapId: id,
        commandLine: trialCommandLine(wayBack.commandLine, options.append),
        earlyScript: pidRangeScript(wayBack.pidRange) + (watchdog?.script ?? ""),
        earlyFiles: watchdog?.files ?? [],
      });
    });
    frozen = await freeze({
      pids: options.pids,
      directory: join(path, "frozen"),
      end: "hold",
      ...(options.encryptTo && { encryptTo: options.encryptTo }),
      ...(options.onProgress && { onProgress: options.onProgress }),
      ...(options.signal && { signal: options.signal }),
    });
    options.signal?.throwIfAborted();
    leave(root, { id, kernel, frozen, load, wayBack }, options);
  } catch (error) {
    await undo(frozen, path);
    throw error;
  }
}

/** A short look at the processes, before anything is made ready: what they hold, and whether that kernel can take it. */
async function requireAbleTarget(kernel: Kernel, pids: readonly number[]): Promise<void> {
  const { needs } = await check(pids);
  requireAbleKernel(kernel, needs);
}

/** All that is needed to leave. */
interface Departure {
  readonly id: string;
  readonly kernel: Kernel;
  readonly frozen: FrozenSet;
  readonly load: TimedStep;
  readonly wayBack: WayBack;
}

function presentWayBack(watchdog: BootWatchdog | undefined): WayBack {
  return {
    commandLine: presentCommandLine(),
    pidRange: presentFreePidRange(),
    sysctls: changedSettings(),
    ...(watchdog && { watchdog: { driver: watchdog.driver, seconds: watchdog.seconds } }),
  };
}

/** From here on the processes come back by the record alone. */
function leave(root: string, departure: Departure, options: SwapOptions): never {
  const { id, kernel, frozen, load, wayBack } = departure;
  const { needs } = frozen.network;
  leaveSilence(frozen.network, join(root, id));
  const record = {
    version: 1,
    id,
    boot: presentBoot(),
    state: "pending",
    from: release(),
    to: kernel.release,
    directory: frozen.directory,
    processes: frozen.processes.map(({ pid, command }) => ({ pid, command })),
    ...(needs.length > 0 && { network: [...needs] }),
    // Memory was copied before.
    stopped: frozen.steps.find(({ step }) => step === "stop")?.start ?? Date.now(),
    wayBack,
    // Written down before it begins: a kernel that never says anything had its try too.
    attempts: [{ kernel: kernel.release, at: Date.now() }],
    ...(options.health && { health: options.health }),
    ...(options.keep && { keep: true }),
  } as const;
  const steps = [load, ...frozen.steps];
  writeRecord(root, { ...record, attempts: [...record.attempts], steps });
  using _ = new PendingGuard(pendingMark(root, id), join(root, id));
  markPending(root, id);
  // A kernel that panics or hangs ends in the firmware: it is to start this one.
  setOneTimeEntry(release());
  const sync = timed("sync", options, "all disks", syncDisks);
  writeRecord(root, { ...record, attempts: [...record.attempts], steps: [...steps, sync] });
  options.onProgress?.({ step: "kexec", detail: kernel.release, at: Date.now() });
  startLoadedKernel();
}

/** Nothing of a swap that did not happen stays: neither a loaded kernel, nor images that the next boot would thaw. */
async function undo(frozen: FrozenSet | undefined, path: string): Promise<void> {
  unloadKernel();
  clearOneTimeEntry();
  rmSync(join(path, PENDING_MARK), { force: true });
  try {
    await frozen?.release();
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function timed(step: string, options: SwapOptions, detail: string, work: () => void): TimedStep {
  const start = Date.now();
  options.onProgress?.({ step, detail, at: start });
  work();
  return { step, start, end: Date.now() };
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new Refusal("NOT_ROOT", {
    what: "Only root can change the kernel.",
    why: "Loading and starting a kernel needs CAP_SYS_BOOT.",
    remedy: "Run it with sudo.",
  });
}
