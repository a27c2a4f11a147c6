/**
 * Whether the running kernel insists on a signature: lockdown (kernel_lockdown(7)), which Secure Boot turns on in
 * Debian's kernels, or a kernel that was built to insist (CONFIG_KEXEC_SIG_FORCE).
 */
import { failures } from "../../errors/catalogue.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { parseKernelConfig } from "../kernel-config.ts";
import { readKernelImage } from "../kernel-image.ts";
import type { Kernel } from "../kernels.ts";
import type { Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

/** The variable of the UEFI specification; four bytes of attributes come before its value. */
const SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

export function lookAtSignature(machine: Machine, kernel: Kernel): Finding[] {
  const why = insistence(machine);
  const image = orIfGone(() => readKernelImage(kernel.image), undefined);
  if (why === undefined || image === undefined) return [];
  if (!image.isSigned) {
    return [failures.KERNEL_UNSIGNED({ release: kernel.release, why, image: kernel.image })];
  }
  // The firmware's keys, and those enrolled with mokutil(1), are the kernel's only where the firmware has checked with them.
  if (isSecureBoot(machine)) return [];
  return [failures.SIGNATURE_UNPROVEN({ release: kernel.release, why })];
}

/** Why a signature is asked for, as the beginning of a sentence. */
function insistence(machine: Machine): string | undefined {
  const mode = /\[(\w+)\]/.exec(machine.text("/sys/kernel/security/lockdown"))?.[1];
  if (mode !== undefined && mode !== "none") return `The running kernel is locked down (${mode})`;
  const config = parseKernelConfig(machine.text(`/boot/config-${machine.running}`));
  return config.has("CONFIG_KEXEC_SIG_FORCE") ? "The running kernel was built with CONFIG_KEXEC_SIG_FORCE" : undefined;
}

function isSecureBoot(machine: Machine): boolean {
  return machine.bytes(SECURE_BOOT)?.[4] === 1;
}
