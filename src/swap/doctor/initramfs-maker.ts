/** Debian has two makers of initramfs, which are told in different ways. */
import { dirname, join } from "node:path";
import type { Kernel } from "../kernels.ts";
import { Machine } from "./machine.ts";

export function usesDracut(machine: Machine): boolean {
  return machine.has("/usr/bin/dracut") && !machine.has("/usr/sbin/update-initramfs");
}

/** Whether anything makes them here. */
export function hasInitramfsMaker(machine: Machine): boolean {
  return usesDracut(machine) || machine.has("/usr/sbin/update-initramfs");
}

/** The command that makes the initramfs of this kernel, or makes it anew when it has one. */
export function initramfsCommand({ release, image, initrd }: Kernel, machine = new Machine()): string {
  if (!usesDracut(machine)) return `update-initramfs ${initrd === undefined ? "-c" : "-u"} -k ${release}`;
  return `dracut --force ${initrd ?? join(dirname(image), `initrd.img-${release}`)} ${release}`;
}
