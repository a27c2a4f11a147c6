/** Loads the next kernel into memory, and starts it: kexec_file_load(2) and reboot(2). */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { attempt, call, withText } from "../sys/call.ts";
import { errnoName } from "../abi/errno.ts";
import { failures } from "../errors/catalogue.ts";
import { Defect } from "../errors/wrong-input.ts";
import type { Kernel } from "./kernels.ts";

/** include/uapi/linux/kexec.h and reboot.h */
const KEXEC_FILE_UNLOAD = 1;
const KEXEC_FILE_NO_INITRAMFS = 4;
const LINUX_REBOOT_MAGIC1 = 0xfee1dead;
const LINUX_REBOOT_MAGIC2 = 672274793;
const LINUX_REBOOT_CMD_KEXEC = 0x45584543;
const LINUX_REBOOT_CMD_RESTART = 0x1234567;
const LINUX_REBOOT_CMD_POWER_OFF = 0x4321fedc;

const KEXEC_LOADED = "/sys/kernel/kexec_loaded";

/** On the new kernel's command line: which swap started it. */
export const SWAP_PARAMETER = "kmonte.swap";

/** The present command line without what the boot loader added and without an earlier swap's mark. */
export function inheritedCommandLine(present: string): string {
  return present
    .trim()
    .split(/\s+/)
    .filter((word) => !/^(BOOT_IMAGE|initrd|kmonte\.swap)=/.test(word))
    .join(" ");
}

export interface NextKernel {
  readonly kernel: Kernel;
  readonly swapId: string;
  /** Its command line, but for the mark of the swap. */
  readonly commandLine: string;
  /** Its initramfs, with what is to be done in the first moment of its user space. */
  readonly initrd: Buffer | undefined;
}

/** The command line of the running kernel, without what belongs to this boot alone. */
export function presentCommandLine(): string {
  return inheritedCommandLine(readFileSync("/proc/cmdline", "utf8"));
}

/** The swap that started the running kernel. */
export function presentSwap(): string | undefined {
  return new RegExp(`(?:^|\\s)${SWAP_PARAMETER}=(\\S+)`).exec(readFileSync("/proc/cmdline", "utf8"))?.[1];
}

/** Loads the kernel with its initramfs. Nothing happens to the running one. */
export function loadKernel(next: NextKernel): void {
  const { kernel } = next;
  const commandLine = `${next.commandLine} ${SWAP_PARAMETER}=${next.swapId}`.trim();
  const image = openSync(kernel.image, "r");
  const initrdCopy = `/run/kmonte-initrd-${next.swapId}`;
  let initrd = -1;
  try {
    if (next.initrd) {
      writeFileSync(initrdCopy, next.initrd, { mode: 0o600 });
      initrd = openSync(initrdCopy, "r");
    }
    const flags = initrd === -1 ? KEXEC_FILE_NO_INITRAMFS : 0;
    const length = Buffer.byteLength(commandLine) + 1;
    const result = withText(commandLine, (text) => attempt("kexec_file_load", image, initrd, length, text, flags));
    if (result < 0)
      throw failures.KEXEC_LOAD_FAILED({ release: kernel.release, path: kernel.image, errno: errnoName(result) });
  } finally {
    if (initrd !== -1) closeSync(initrd);
    rmSync(initrdCopy, { force: true });
    closeSync(image);
  }
}

/** Forgets a loaded kernel. */
export function unloadKernel(): void {
  attempt("kexec_file_load", -1, -1, 0, 0, KEXEC_FILE_UNLOAD);
}

/** Writes everything to the disks. */
export function syncDisks(): void {
  call("sync", "Writing everything to the disks");
}

/** Leaves this kernel for the loaded one, at once. Returns by throwing, when it does not work. */
export function startLoadedKernel(): never {
  if (readFileSync(KEXEC_LOADED, "utf8").trim() !== "1") {
    throw failures.KEXEC_NOT_LOADED();
  }
  return reboot(LINUX_REBOOT_CMD_KEXEC, "Starting the new kernel");
}

/** Starts the machine anew through its firmware, at once; in a container, the container. Everything must be on the disks. */
export function restartMachine(): never {
  return reboot(LINUX_REBOOT_CMD_RESTART, "Restarting the machine");
}

/** Powers the machine off, at once; in a container, ends the container. Everything must be on the disks. */
export function powerOffMachine(): never {
  return reboot(LINUX_REBOOT_CMD_POWER_OFF, "Powering the machine off");
}

/** reboot(2): in a pid namespace other than the first one it ends the namespace's init. */
function reboot(command: number, about: string): never {
  call("reboot", about, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command);
  throw new Defect("reboot(2) returned");
}
