/** What the steps of a departure and of the boot after it belong to. */
import type { TimedStep } from "../lib/progress.ts";

/**
 * before: all still ran; freeze: they are written down; kernel: no process of this machine runs, one kernel ends and
 * another starts; back: the same, with a kernel in between that was tried and left; boot: from the first process of the
 * new boot to kmonte; thaw: they are set running again.
 */
export type Phase = "before" | "freeze" | "kernel" | "back" | "boot" | "thaw";

const PHASES: readonly (readonly [Phase, RegExp])[] = [
  ["freeze", /^(copy|stop|look|write|commit|sync|freeze .*)$/],
  ["kernel", /^(kexec|kernel)$/],
  ["boot", /^(initramfs|userland|kmonte starts|network)$/],
  ["thaw", /^(verify|check|build|resume|thaw .*)$/],
];

/** The phase of a step, where the first process was stopped at `stopped`; undefined for a step of another name. */
export function phaseOf({ step, end }: TimedStep, stopped: number): Phase | undefined {
  if (end <= stopped) return "before";
  return PHASES.find(([, names]) => names.test(step))?.[0];
}

/** How long the steps of one phase took together. */
export function millisecondsIn(phase: Phase, steps: readonly TimedStep[], stopped: number): number {
  return steps.filter((one) => phaseOf(one, stopped) === phase).reduce((sum, { start, end }) => sum + end - start, 0);
}
