/** Whether the kernel's files are there and whole: a full /boot, or a broken hook, leaves half of them. */
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { readInitramfs } from "../initramfs.ts";
import { readKernelImage } from "../kernel-image.ts";
import { type Kernel, listKernels } from "../kernels.ts";
import { packageFor, TOOLS } from "./disks.ts";
import { type Finding, refusalsOf } from "./finding.ts";
import { hasInitramfsMaker, initramfsCommand } from "./initramfs-maker.ts";
import type { Machine } from "./machine.ts";
import { neededDisks } from "./storage.ts";

export function lookAtImage(_machine: Machine, { image, release }: Kernel): Refusal[] {
  const found = orIfGone(() => readKernelImage(image), undefined);
  if (found?.version !== undefined && found.size >= found.expected) return [];
  const why =
    found?.version === undefined
      ? `${image} has no header of an x86 kernel image (bzImage).`
      : `${image} has ${found.size} bytes, and its header says ${found.expected}: the rest is missing.`;
  return [failures.KERNEL_BROKEN({ release, why, image })];
}

export function lookAtInitramfs(machine: Machine, kernel: Kernel): Finding[] {
  if (kernel.initrd === undefined)
    return refusalsOf(() =>
      requireInitramfs(kernel, listKernels({ boot: machine.at("/boot"), running: machine.running }), machine),
    );
  const { contents } = readInitramfs(kernel.initrd);
  if (!("names" in contents))
    return contents.damaged
      ? [
          failures.INITRAMFS_BROKEN({
            release: kernel.release,
            path: kernel.initrd,
            why: contents.why,
            make: initramfsCommand(kernel, machine),
          }),
        ]
      : [];
  return machine.isContainer ? [] : lookForTools(machine, kernel, contents.names);
}

/** A kernel of a distribution finds its disks by its initramfs, which a full /boot or a broken hook may have left out. */
export function requireInitramfs(kernel: Kernel, installed = listKernels(), machine?: Machine): void {
  const { initrd, image, release } = kernel;
  if (initrd !== undefined || !expectsInitramfs(installed, machine)) return;
  throw failures.NO_INITRAMFS({ release, image, make: initramfsCommand(kernel, machine) });
}

/** As the running kernel has one; where that one is not in /boot, as something here makes them. */
function expectsInitramfs(installed: readonly Kernel[], machine: Machine | undefined): boolean {
  const running = installed.find((kernel) => kernel.running);
  if (running) return running.initrd !== undefined;
  return machine !== undefined && hasInitramfsMaker(machine);
}

/** Dracut may put all programs into an image of a file system (its module squash). */
const IMAGE_INSIDE = /(^|\/)((squashfs|erofs)-root|squash\/root)\.img$/;

/** What the root file system lies on needs programs in the initramfs. */
function lookForTools(machine: Machine, kernel: Kernel, names: readonly string[]): Refusal[] {
  const { release, initrd } = kernel;
  if (names.some((name) => IMAGE_INSIDE.test(name))) return [];
  const early = neededDisks(machine).filter((disk) => disk.early);
  const kinds = new Set(early.flatMap(({ layers }) => layers.map(({ kind }) => kind)));
  return [...kinds].flatMap((kind) => {
    if (kind === "network" || names.some((name) => TOOLS[kind][0].test(name))) return [];
    return [
      failures.INITRAMFS_LACKS({
        release,
        kind,
        initrd,
        packageName: packageFor(kind, machine),
        make: initramfsCommand(kernel, machine),
      }),
    ];
  });
}
