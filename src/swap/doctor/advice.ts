/**
 * Whether something less than a change of kernel would do. Of libraries this asks /proc itself, for protected units alone:
 * needrestart(1) says it of the whole machine, and looks at what a swap starts anew anyway.
 */
import { mapsOf } from "../../proc/outside.ts";
import { join } from "node:path";
import { orIfGone } from "../../lib/no-such-file.ts";
import { isSystemdRunning } from "../../lib/systemd-unit.ts";
import { parseMaps } from "../../proc/maps.ts";
import { readProtections } from "../../units/protected.ts";
import { pidsOf, runningUnits } from "../../units/survey.ts";
import { isReplaced, type Kernel, listKernels } from "../kernels.ts";
import { readModule } from "../module-file.ts";
import { dependencies } from "../watchdog.ts";
import { Advice } from "./finding.ts";
import { type LoadedModule, loadedModules } from "./loaded-modules.ts";
import type { Machine } from "./machine.ts";

const LIVE_PATCHES = "/sys/kernel/livepatch";
const SHOWN = 3;

export function advise(machine: Machine): Advice[] {
  const [newest] = listKernels({ boot: machine.at("/boot"), running: machine.running });
  const runsNewest = newest !== undefined && newest.running && !isReplaced(newest);
  return [
    ...(runsNewest ? [...newestRuns(newest), ...changedModules(machine)] : []),
    ...livePatches(machine),
    ...replacedLibraries(machine),
  ];
}

function newestRuns({ release }: Kernel): Advice[] {
  return [
    new Advice("NEWEST_KERNEL_RUNS", {
      what: `The newest kernel that is installed runs already: ${release}.`,
      why: "Nothing in /boot is newer, and its file there is the one that was started.",
      remedy: `There is no need for a swap; --to ${release} starts the same anew.`,
    }),
  ];
}

/** Modules whose files have changed since the boot, by the build id that the kernel has of what it loaded. */
function changedModules(machine: Machine): Advice[] {
  if (machine.isContainer) return [];
  const folder = `/lib/modules/${machine.running}`;
  const list = machine.text(`${folder}/modules.dep`);
  const boot = Number(/^btime (\d+)/m.exec(machine.text("/proc/stat"))?.[1] ?? 0) * 1000;
  return loadedModules(machine).flatMap((module) => {
    const [file] = dependencies(list, module.name) ?? [];
    if (file === undefined || (machine.changed(join(folder, file)) ?? 0) < boot) return [];
    const note = machine.bytes(`/sys/module/${module.name}/notes/.note.gnu.build-id`);
    const present = orIfGone(() => readModule(machine.at(join(folder, file))), undefined);
    // The note stands in the file as the kernel shows it.
    if (note === undefined || present === undefined || present.includes(note)) return [];
    return [module.users === 0 ? reload(module) : held(module)];
  });
}

function reload({ name, drives }: LoadedModule): Advice {
  return new Advice("MODULE_CAN_BE_RELOADED", {
    what: `The module ${name} has another file since the boot, and nothing holds it.`,
    why: "Its build id is not that of the file in /lib/modules, and its use count is 0.",
    remedy: `modprobe -r ${name} && modprobe ${name} has the new one${drives ? "; what it drives is away for that moment" : ""}.`,
  });
}

function held({ name, users, holders }: LoadedModule): Advice {
  const by = holders.length > 0 ? `, by ${holders.join(", ")} among others` : "";
  return new Advice("MODULE_IS_HELD", {
    what: `The module ${name} has another file since the boot, and is in use.`,
    why: `Its build id is not that of the file in /lib/modules; it is used ${users} times${by}.`,
    remedy: `Stop what uses it and load it anew (modprobe -r ${name}); else a swap to the same kernel does.`,
  });
}

/** Documentation/ABI/testing/sysfs-kernel-livepatch */
function livePatches(machine: Machine): Advice[] {
  const names = machine.names(LIVE_PATCHES).filter((name) => machine.text(`${LIVE_PATCHES}/${name}/enabled`) === "1");
  if (names.length === 0 || machine.isContainer) return [];
  return [
    new Advice("LIVE_PATCH_LOADED", {
      what: `The running kernel has a live patch: ${names.join(", ")}.`,
      why: "It ends with this kernel. What it mends may be all that a swap is wanted for.",
      remedy: "See what it mends; see, too, that the new kernel has that mended, or a live patch of its own.",
    }),
  ];
}

/** Protected units that still run with files of libraries which an upgrade has replaced. */
function replacedLibraries(machine: Machine): Advice[] {
  if (machine.root !== "/" || !isSystemdRunning()) return [];
  const found = new Map<string, Set<string>>();
  for (const running of runningUnits(readProtections())) {
    const files = new Set(pidsOf(running).flatMap(replacedIn));
    if (files.size > 0) found.set(running.unit.name, files);
  }
  if (found.size === 0) return [];
  const units = [...found.keys()];
  const files = [...new Set([...found.values()].flatMap((one) => [...one]))];
  const more = files.length > SHOWN ? ` and ${files.length - SHOWN} more` : "";
  return [
    new Advice("LIBRARIES_REPLACED", {
      what: `Protected units run with libraries that have been replaced since: ${units.join(", ")}.`,
      why: `They have ${files.slice(0, SHOWN).join(", ")}${more} as it was before. A swap takes that along as it is: the new files are used by what is started anew.`,
      remedy: `For the libraries' sake restart the units, which needs no other kernel: systemctl restart ${units.join(" ")}.`,
    }),
  ];
}

const DELETED = " (deleted)";

function replacedIn(pid: number): string[] {
  const mappings = parseMaps(mapsOf(pid));
  return mappings.flatMap(({ path, prot }) =>
    prot.includes("x") && path.endsWith(DELETED) && /^\/(usr\/(local\/)?)?lib(64|32)?\//.test(path)
      ? [path.slice(0, -DELETED.length)]
      : [],
  );
}
