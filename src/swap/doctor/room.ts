/** Room on the file systems that a swap and the next kernel write to; for the images themselves see ../room.ts. */
import { statfsSync, statSync } from "node:fs";
import { Refusal } from "../../lib/errors.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { Kernel } from "../kernels.ts";
import { requireRoom } from "../room.ts";
import { type Finding, refusalsOf, Warning } from "./finding.ts";
import type { Machine } from "./machine.ts";

/** What a swap adds to the copy of the initramfs, in bytes: a hook, and the modules of a watchdog. */
const ADDED = 4 << 20;

/** Room for what an image holds besides memory: the least that any swap needs. */
export function lookAtImageRoom(machine: Machine): Finding[] {
  return refusalsOf(() => requireRoom(machine.swapRoot, []));
}

export function lookAtRoom(machine: Machine, kernel: Kernel): Finding[] {
  return [...inRun(machine, kernel), ...inBoot(machine, kernel)];
}

/** The initramfs is copied there to be loaded. */
function inRun(machine: Machine, { initrd, release }: Kernel): Finding[] {
  const free = freeIn(machine.at("/run"));
  const needed = initrd === undefined ? 0 : sizeOf(initrd) + ADDED;
  if (free === undefined || free >= needed) return [];
  return [
    new Refusal(
      "NO_ROOM_IN_RUN",
      {
        what: `Linux ${release} cannot be loaded: there is no room in /run.`,
        why: `A copy of its initramfs takes ${mebibytes(needed)} MiB, and /run has ${mebibytes(free)} MiB left.`,
        remedy: "Remove what fills it, or make it larger: mount -o remount,size=SIZE /run.",
      },
      { path: "/run" },
    ),
  ];
}

/** A /boot that is full stops no swap to what is there whole; it is why the next initramfs will not be. */
function inBoot(machine: Machine, { image, initrd }: Kernel): Finding[] {
  const free = freeIn(machine.at("/boot"));
  const next = sizeOf(image) + (initrd === undefined ? 0 : sizeOf(initrd));
  if (free === undefined || free >= next) return [];
  return [
    new Warning("NO_ROOM_IN_BOOT", {
      what: "/boot has no room for another kernel.",
      why: `It has ${mebibytes(free)} MiB left, and one like ${image} takes ${mebibytes(next)} MiB with its initramfs.`,
      remedy: "apt-get autoremove --purge takes kernels away that are not needed any more.",
    }),
  ];
}

function freeIn(path: string): number | undefined {
  const of = orIfGone(() => statfsSync(path), undefined);
  return of && of.bavail * of.bsize;
}

function sizeOf(path: string): number {
  return orIfGone(() => statSync(path).size, 0);
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
