/** Room on the file systems that a swap and the next kernel write to; for the images themselves see ../room.ts. */
import { statfsSync, statSync } from "node:fs";
import { failures } from "../../errors/catalogue.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { Kernel } from "../kernels.ts";
import { requireRoom } from "../room.ts";
import { type Finding, refusalsOf } from "./finding.ts";
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
  return [failures.NO_ROOM_IN_RUN({ release, needed: mebibytes(needed), free: mebibytes(free) })];
}

/** A /boot that is full stops no swap to what is there whole; it is why the next initramfs will not be. */
function inBoot(machine: Machine, { image, initrd }: Kernel): Finding[] {
  const free = freeIn(machine.at("/boot"));
  const next = sizeOf(image) + (initrd === undefined ? 0 : sizeOf(initrd));
  if (free === undefined || free >= next) return [];
  return [failures.NO_ROOM_IN_BOOT({ free: mebibytes(free), image, next: mebibytes(next) })];
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
