/** The swap's first half: freeze, and leave for another kernel. The other half is resume.ts, at that kernel's boot. */
import { requireRoot } from "../lib/require-root.ts";
import type { TimedStep } from "../lib/progress.ts";
import { requireOpenableAtBoot } from "./boot-key.ts";
import { depart, type DepartOptions, type WayOut } from "./depart.ts";
import { requireAbleKernel } from "./kernel-config.ts";
import { hookedInitrd } from "./initrd.ts";
import type { Kernel } from "./kernels.ts";
import { loadKernel, type NextKernel, presentCommandLine, startLoadedKernel, unloadKernel } from "./kexec.ts";
import { clearOneTimeEntry, setOneTimeEntry } from "./one-time-entry.ts";
import { type PidRange, pidRangeScript, presentFreePidRange } from "./pids.ts";
import type { WayBack } from "./store.ts";
import { changedSettings, trialCommandLine } from "./trial-settings.ts";
import { type BootWatchdog, bootWatchdog, DEFAULT_DEADLINE_SECONDS } from "./watchdog.ts";
import { kernelRelease } from "../lib/kernel.ts";

export interface SwapOptions extends DepartOptions {
  /** What swapTarget (target.ts) has chosen: nothing stands in its way. */
  readonly kernel: Kernel;
  /** More words for the new kernel's command line, after the present ones. */
  readonly append?: string | undefined;
  /** How long the new kernel has before a watchdog restarts the machine, in seconds. */
  readonly deadlineSeconds?: number | undefined;
}

/** Changes the kernel under the processes. Does not return when it works; whenever it throws, all goes on as before. */
export async function swap(options: SwapOptions): Promise<never> {
  requireRoot("change the kernel");
  const { kernel } = options;
  requireOpenableAtBoot(options.encryptTo ?? []);
  return await depart(byKexec(kernel, options), options);
}

function byKexec(kernel: Kernel, options: SwapOptions): WayOut {
  return {
    kind: undefined,
    to: kernel.release,
    lastStep: ["kexec", kernel.release],
    // The plan has asked so of what they held then.
    requireAble: (needs) => requireAbleKernel(kernel, needs),
    ownsDisks: true,
    prepare(id) {
      const watchdog = bootWatchdog(kernel, options.deadlineSeconds ?? DEFAULT_DEADLINE_SECONDS);
      const range = presentFreePidRange();
      const commandLine = trialCommandLine(presentCommandLine(), options.append);
      const commands = pidRangeScript(range) + (watchdog?.script ?? "");
      const { bytes, unhooked } = hookedInitrd(kernel, commandLine, commands, watchdog?.files);
      const wayBack = presentWayBack(range, unhooked === undefined ? watchdog : undefined);
      const next: NextKernel = { kernel, swapId: id, commandLine, initrd: bytes };
      // A kernel that cannot be loaded is to be known before anything is stopped.
      loadKernel(next);
      unloadKernel();
      return { wayBack, notes: hookNotes(kernel, unhooked), load: () => [loadStep(next, options)] };
    },
    // A kernel that panics or hangs ends in the firmware: it is to start this one.
    beforeLeaving: () => void setOneTimeEntry(kernelRelease()),
    leave: startLoadedKernel,
    cancel() {
      unloadKernel();
      clearOneTimeEntry();
    },
  };
}

function loadStep(next: NextKernel, { onProgress }: SwapOptions): TimedStep {
  const start = Date.now();
  onProgress?.({ step: "load", detail: next.kernel.release, at: start });
  loadKernel(next);
  return { step: "load", start, end: Date.now() };
}

/** What the new kernel's boot goes without when nothing of ours runs in its initramfs. */
function hookNotes({ release: version }: Kernel, unhooked: string | undefined): string[] {
  if (unhooked === undefined) return [];
  const lost = "no watchdog is armed over its boot, and process ids are kept free from systemd’s start on, not before";
  return [`nothing of kmonte runs in the initramfs of Linux ${version}, as ${unhooked}: ${lost}`];
}

function presentWayBack(pidRange: PidRange, watchdog: BootWatchdog | undefined): WayBack {
  return {
    commandLine: presentCommandLine(),
    pidRange,
    sysctls: changedSettings(),
    ...(watchdog && { watchdog: { driver: watchdog.driver, seconds: watchdog.seconds } }),
  };
}
