/** What the running kernel has as modules against what the new one has: drivers, file systems, those of DKMS. */
import { parseMountInfo } from "../../proc/mountinfo.ts";
import { failures } from "../../errors/catalogue.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseKernelConfig, readOffer } from "../kernel-config.ts";
import type { Kernel } from "../kernels.ts";
import type { Finding } from "./finding.ts";
import { loadedModules } from "./loaded-modules.ts";
import type { Machine } from "./machine.ts";

const DKMS = "/var/lib/dkms";

/** A kernel that was built with modules finds next to nothing without them. */
export function lookAtModuleTree(_machine: Machine, kernel: Kernel): Finding[] {
  const config = kernel.config === undefined ? "" : readFileSync(kernel.config, "utf8");
  if (!parseKernelConfig(config).has("CONFIG_MODULES")) return [];
  const { modules, release } = kernel;
  if (modules !== undefined && existsSync(join(modules, "modules.dep"))) return [];
  return [failures.NO_MODULES({ release, modules })];
}

/** Modules that drive devices now, or hold what is mounted, and that the new kernel does not have. */
export function lookAtModules(machine: Machine, kernel: Kernel): Finding[] {
  const offered = kernel.config === undefined ? undefined : readOffer(kernel).modules;
  if (offered === undefined) return [];
  const loaded = loadedModules(machine);
  const missing = loaded.filter(({ name }) => !offered.has(name));
  const mounted = new Map(mountedTypes(machine));
  const mounts = missing.flatMap(({ name }) => (mounted.has(name) ? [name] : []));
  const used = missing.filter(({ name, drives, isForeign }) => (drives || isForeign) && !mounts.includes(name));
  return [
    ...mounts.map((type) =>
      failures.FILE_SYSTEM_MISSING({ release: kernel.release, point: mounted.get(type) ?? "", type }),
    ),
    ...(used.length > 0
      ? [failures.MODULES_MISSING({ release: kernel.release, names: used.map(({ name }) => name).join(", ") })]
      : []),
  ];
}

/** The types of mounted file systems, each with a mount point. */
function mountedTypes(machine: Machine): (readonly [string, string])[] {
  return parseMountInfo(machine.text("/proc/self/mountinfo")).map(
    ({ type, mountPoint }) => [type, mountPoint] as const,
  );
}

/** Modules that DKMS has built for the running kernel, and not for the new one: /var/lib/dkms/NAME/VERSION/KERNEL/ARCH. */
export function lookAtDkms(machine: Machine, { release }: Kernel): Finding[] {
  return machine.names(DKMS).flatMap((name) => {
    const built = new Set(
      machine
        .names(`${DKMS}/${name}`)
        .flatMap((version) => orIfGone(() => machine.names(`${DKMS}/${name}/${version}`), [])),
    );
    if (!built.has(machine.running) || built.has(release)) return [];
    return [failures.DKMS_NOT_BUILT({ name, release, running: machine.running })];
  });
}
