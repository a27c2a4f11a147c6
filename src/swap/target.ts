/** Which kernel a swap changes to, and whether it can: what stands in the way is refused, the rest is told. */
import { availableParallelism } from "node:os";
import { check } from "../freeze/freeze.ts";
import { eachOnce } from "../freeze/check/kernel-needs.ts";
import { failures } from "../errors/catalogue.ts";
import { Refusal, type Warning } from "../errors/failure.ts";
import { presentRoots, type SurveyedUnit } from "../units/survey.ts";
import { type Examination, examine } from "./doctor/examine.ts";
import { refusalsOf, refuse } from "./doctor/finding.ts";
import { Machine } from "./doctor/machine.ts";
import { lackingIn, readOffer } from "./kernel-config.ts";
import { findKernel, isReplaced, type Kernel, listKernels } from "./kernels.ts";

export interface Target {
  readonly kernel: Kernel;
  /** What a person should know before. */
  readonly warnings: readonly Warning[];
}

/** The kernel that a swap to `to` would start; throws a {@link Refusal} when none can be started from here. */
export function swapTarget(to: string | undefined): Target {
  const { kernel, refusals, warnings } = examineTarget(to);
  refuse(refusals);
  return { kernel: kernel as Kernel, warnings };
}

/** The same without a word against it; `kernel` is undefined when there is none, which is then among the refusals. */
export function examineTarget(to: string | undefined): Examination & { readonly kernel: Kernel | undefined } {
  const machine = new Machine();
  let kernel: Kernel | undefined;
  const none = refusalsOf(() => {
    kernel = chooseKernel(to);
  });
  const { refusals, warnings } = examine(machine, kernel);
  // A container is not meant to have one.
  return { kernel, refusals: machine.isContainer ? refusals : [...none, ...refusals], warnings };
}

/**
 * What keeps a kernel from taking those of the protected units along that could otherwise go, all of it. `to` is as for
 * {@link examineTarget}.
 */
export async function inTheWayOf(to: string, units: readonly SurveyedUnit[]): Promise<Refusal[]> {
  const { kernel, refusals } = examineTarget(to);
  // What is not known of it has been refused already.
  if (kernel?.config === undefined) return [...refusals];
  const along = units.filter(({ verdict }) => verdict === "along");
  // What is looked at together is told together: without some of it, it is looked at again.
  const needs =
    along.length === units.length
      ? eachOnce(along.flatMap((unit) => unit.needs))
      : (await check(presentRoots(along))).needs;
  return [...refusals, ...lackingIn(kernel.release, readOffer(kernel), needs, availableParallelism())];
}

function chooseKernel(to: string | undefined): Kernel {
  return to === undefined ? newestKernel() : findKernel(to);
}

/** The newest kernel in /boot, if it is not the running one. */
function newestKernel(): Kernel {
  const [newest] = listKernels();
  if (newest && (!newest.running || isReplaced(newest))) return newest;
  throw failures.NO_NEWER_KERNEL({ newest: newest?.release });
}
