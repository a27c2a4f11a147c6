/**
 * Whether the running kernel lets anybody load another one: how it was built, and the sysctls kexec_load_disabled and
 * kexec_load_limit_reboot (Documentation/admin-guide/sysctl/kernel.rst).
 */
import { Refusal } from "../../lib/errors.ts";
import { parseKernelConfig } from "../kernel-config.ts";
import { type Finding, Warning } from "./finding.ts";
import type { Machine } from "./machine.ts";

const SYSCTLS = "/proc/sys/kernel";

/** A swap tries the kernel, lets go of it, and loads it: each is a call that the limit counts. */
const CALLS = 3;

/** Where sysctl.d(5) and sysctl(8) read settings from. */
const SETTINGS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

export function lookAtKexec(machine: Machine): Finding[] {
  if (!isBuilt(machine)) {
    return [
      new Refusal("KEXEC_NOT_BUILT", {
        what: `Linux ${machine.running} cannot load another kernel.`,
        why: "It was built without CONFIG_KEXEC_FILE.",
        remedy: "Reboot once into a kernel that has it, such as any of Debian's.",
      }),
    ];
  }
  return [...disabled(machine), ...limited(machine), ...loaded(machine)];
}

function isBuilt(machine: Machine): boolean {
  const config = parseKernelConfig(machine.text(`/boot/config-${machine.running}`));
  if (config.size > 0) return config.has("CONFIG_KEXEC_FILE");
  return machine.has(`${SYSCTLS}/kexec_load_disabled`) || machine.has("/sys/kernel/kexec_loaded");
}

function disabled(machine: Machine): Refusal[] {
  if (machine.text(`${SYSCTLS}/kexec_load_disabled`) !== "1") return [];
  return [
    new Refusal("KEXEC_DISABLED", {
      what: "The running kernel lets nobody load another one.",
      why: `kernel.kexec_load_disabled is 1${setBy(machine, "kexec_load_disabled")}.`,
      remedy: "It stays so until a reboot: take the setting away, and reboot once.",
    }),
  ];
}

function limited(machine: Machine): Refusal[] {
  const limit = Number(machine.text(`${SYSCTLS}/kexec_load_limit_reboot`) || -1);
  if (limit < 0 || limit >= CALLS) return [];
  return [
    new Refusal("KEXEC_LIMIT", {
      what: "The running kernel does not let another one be loaded often enough.",
      why: `kernel.kexec_load_limit_reboot is ${limit}${setBy(machine, "kexec_load_limit_reboot")}; a swap needs ${CALLS} calls.`,
      remedy: "It cannot be raised until a reboot: take the setting away, or set it higher, and reboot once.",
    }),
  ];
}

/** The file that sets a sysctl, as the end of a sentence. */
function setBy(machine: Machine, name: string): string {
  const files = SETTINGS.flatMap((folder) => machine.names(folder).map((file) => `${folder}/${file}`));
  const line = new RegExp(`^\\s*-?kernel[./]${name}\\s*=`, "m");
  const found = [...files, "/etc/sysctl.conf"].find((file) => line.test(machine.text(file)));
  return found === undefined ? "" : `, as ${found} has it`;
}

function loaded(machine: Machine): Warning[] {
  if (machine.text("/sys/kernel/kexec_loaded") !== "1") return [];
  return [
    new Warning("KERNEL_LOADED", {
      what: "Somebody has loaded a kernel for kexec already.",
      why: "/sys/kernel/kexec_loaded is 1: kexec-tools, or systemctl kexec, is about to use it.",
      remedy: "A swap puts its own in the place of it. kexec --unload lets go of it.",
    }),
  ];
}
