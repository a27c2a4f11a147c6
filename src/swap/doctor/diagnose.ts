/** What `kmonte doctor` says: all that a swap would refuse, and more that a person may want to know. */
import type { Advice } from "../../errors/failure.ts";
import { type Kernel, listKernels } from "../kernels.ts";
import { examineTarget } from "../target.ts";
import { advise } from "./advice.ts";
import type { Examination } from "./examine.ts";
import { Machine } from "./machine.ts";
import { kernelRelease } from "../../lib/kernel.ts";

export interface Diagnosis extends Examination {
  /** The running kernel. */
  readonly from: string;
  /** The one that was looked at; undefined where there is none. */
  readonly kernel: Kernel | undefined;
  readonly advice: readonly Advice[];
}

/** `to` as for a swap; without it, the newest kernel, even where that one runs already. */
export function diagnose(to: string | undefined): Diagnosis {
  const newest = to ?? listKernels()[0]?.release;
  return { from: kernelRelease(), ...examineTarget(newest), advice: advise(new Machine()) };
}
