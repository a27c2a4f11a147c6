/**
 * Whether the running kernel lets anybody load another one: how it was built, and the sysctls kexec_load_disabled and
 * kexec_load_limit_reboot (Documentation/admin-guide/sysctl/kernel.rst).
 */
import { failures } from "../../errors/catalogue.ts";
import { Refusal, type Warning } from "../../errors/failure.ts";
import { parseKernelConfig } from "../kernel-config.ts";
import type { Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

const SYSCTLS = "/proc/sys/kernel";

/** A swap tries the kernel, lets go of it, and loads it: each is a call that the limit counts. */
const CALLS = 3;

/** Where sysctl.d(5) and sysctl(8) read settings from. */
const SETTINGS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

export function lookAtKexec(machine: Machine): Finding[] {
  if (!isBuilt(machine)) {
    return [failures.KEXEC_NOT_BUILT({ running: machine.running })];
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
  return [failures.KEXEC_DISABLED({ setBy: setBy(machine, "kexec_load_disabled") })];
}

function limited(machine: Machine): Refusal[] {
  const limit = Number(machine.text(`${SYSCTLS}/kexec_load_limit_reboot`) || -1);
  if (limit < 0 || limit >= CALLS) return [];
  return [failures.KEXEC_LIMIT({ limit, setBy: setBy(machine, "kexec_load_limit_reboot"), calls: CALLS })];
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
  return [failures.KERNEL_LOADED()];
}
