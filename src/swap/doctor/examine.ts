/**
 * All that is looked at before a kernel is changed, without touching anything. `kmonte swap` refuses what stands in the way
 * here, and `kmonte doctor` shows it: what the one says is what the other does.
 */
import { Refusal, Warning } from "../../errors/failure.ts";
import { BASIC_NEEDS } from "../../freeze/check/kernel-needs.ts";
import { requireAbleKernel } from "../kernel-config.ts";
import type { Kernel } from "../kernels.ts";
import { lookAtDisks } from "./disks.ts";
import { type Finding, refusalsOf } from "./finding.ts";
import { lookAtFirmware } from "./firmware.ts";
import { lookAtWatchdog } from "./hardware-watchdog.ts";
import { lookAtOthers } from "./in-progress.ts";
import { lookAtImage, lookAtInitramfs } from "./kernel-files.ts";
import { lookAtKexec } from "./kexec-allowed.ts";
import { Machine } from "./machine.ts";
import { lookAtDkms, lookAtModules, lookAtModuleTree } from "./modules.ts";
import { lookAtPackages } from "./packages.ts";
import { lookAtRights } from "./rights.ts";
import { lookAtImageRoom, lookAtRoom } from "./room.ts";
import { lookAtSignature } from "./secure-boot.ts";
import { lookAtSystemd } from "./systemd.ts";

type Look = (machine: Machine) => readonly Finding[];
type LookAtKernel = (machine: Machine, kernel: Kernel) => readonly Finding[];

const ANYWHERE: readonly Look[] = [lookAtRights, lookAtSystemd, lookAtPackages, lookAtOthers, lookAtImageRoom];
/** A container sees its host's. */
const OF_HOST: readonly Look[] = [lookAtKexec, lookAtWatchdog, lookAtDisks];

const OF_KERNEL: readonly LookAtKernel[] = [
  lookAtImage,
  lookAtInitramfs,
  lookAtModuleTree,
  (_machine, kernel) => refusalsOf(() => requireAbleKernel(kernel, BASIC_NEEDS)),
  lookAtRoom,
  lookAtDkms,
];
const OF_KERNEL_AND_HOST: readonly LookAtKernel[] = [lookAtSignature, lookAtModules, lookAtFirmware];

export interface Examination {
  /** What stands in the way of a swap. */
  readonly refusals: readonly Refusal[];
  readonly warnings: readonly Warning[];
}

/** `kernel` is the one to change to; without one, what there is to say of the machine alone. */
export function examine(machine: Machine, kernel: Kernel | undefined): Examination {
  const looks = machine.isContainer ? ANYWHERE : [...ANYWHERE, ...OF_HOST];
  const kernelLooks = machine.isContainer ? OF_KERNEL : [...OF_KERNEL, ...OF_KERNEL_AND_HOST];
  const findings = [
    ...looks.flatMap((look) => look(machine)),
    ...(kernel ? kernelLooks.flatMap((look) => look(machine, kernel)) : []),
  ];
  return {
    refusals: findings.filter((finding) => finding instanceof Refusal),
    warnings: findings.filter((finding) => finding instanceof Warning),
  };
}
