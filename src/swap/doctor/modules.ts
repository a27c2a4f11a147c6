/** What the running kernel has as modules against what the new one has: drivers, file systems, those of DKMS. */
import { parseMountInfo } from "../../proc/mountinfo.ts";
import { Refusal } from "../../lib/errors.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseKernelConfig, readOffer } from "../kernel-config.ts";
import type { Kernel } from "../kernels.ts";
import { type Finding, Warning } from "./finding.ts";
import { loadedModules } from "./loaded-modules.ts";
import type { Machine } from "./machine.ts";

const DKMS = "/var/lib/dkms";

/** A kernel that was built with modules finds next to nothing without them. */
export function lookAtModuleTree(_machine: Machine, kernel: Kernel): Finding[] {
  const config = kernel.config === undefined ? "" : readFileSync(kernel.config, "utf8");
  if (!parseKernelConfig(config).has("CONFIG_MODULES")) return [];
  const { modules, release } = kernel;
  if (modules !== undefined && existsSync(join(modules, "modules.dep"))) return [];
  return [
    new Refusal(
      "NO_MODULES",
      {
        what: `Linux ${release} would not find its devices.`,
        why: modules
          ? `${modules} has no modules.dep, by which modprobe(8) finds its modules.`
          : `It was built with modules, and there is no /lib/modules/${release}.`,
        remedy: modules ? `Make it: depmod ${release}.` : "Install the package that they are in.",
      },
      { path: modules ?? `/lib/modules/${release}` },
    ),
  ];
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
    ...mounts.map((type) => fileSystemMissing(kernel, type, mounted.get(type) ?? "")),
    ...(used.length > 0
      ? [
          modulesMissing(
            kernel,
            used.map(({ name }) => name),
          ),
        ]
      : []),
  ];
}

/** The types of mounted file systems, each with a mount point. */
function mountedTypes(machine: Machine): (readonly [string, string])[] {
  return parseMountInfo(machine.text("/proc/self/mountinfo")).map(
    ({ type, mountPoint }) => [type, mountPoint] as const,
  );
}

function fileSystemMissing({ release }: Kernel, type: string, point: string): Refusal {
  return new Refusal(
    "FILE_SYSTEM_MISSING",
    {
      what: `Linux ${release} cannot mount ${point}.`,
      why: `It is of ${type}, which is a module here, and that kernel has no such module.`,
      remedy: "Install or build the module for that kernel (dkms autoinstall -k), or choose another kernel.",
    },
    { path: point },
  );
}

function modulesMissing({ release }: Kernel, names: readonly string[]): Warning {
  return new Warning("MODULES_MISSING", {
    what: `Linux ${release} does not have modules that are at work now: ${names.join(", ")}.`,
    why: `Neither modules.dep nor modules.builtin of /lib/modules/${release} name them.`,
    remedy: "A newer kernel may have the same under another name; else install the package or build the module for it.",
  });
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
    return [
      new Warning("DKMS_NOT_BUILT", {
        what: `The module ${name} of DKMS was not built for Linux ${release}.`,
        why: `${DKMS}/${name} has it for ${machine.running}, which runs, and not for that one.`,
        remedy: `Install linux-headers-${release}, and dkms autoinstall -k ${release}; make.log beside it says what fails.`,
      }),
    ];
  });
}
