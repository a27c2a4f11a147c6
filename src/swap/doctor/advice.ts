/**
 * Whether something less than a change of kernel would do. Of libraries this asks /proc itself, for protected units alone:
 * needrestart(1) says it of the whole machine, and looks at what a swap starts anew anyway.
 */
import { mapsOf } from "../../proc/outside.ts";
import type { Advice } from "../../errors/failure.ts";
import { failures } from "../../errors/catalogue.ts";
import { join } from "node:path";
import { orIfGone } from "../../lib/no-such-file.ts";
import { isSystemdRunning } from "../../lib/systemd-unit.ts";
import { parseMaps } from "../../proc/maps.ts";
import { readProtections } from "../../units/protected.ts";
import { pidsOf, runningUnits } from "../../units/survey.ts";
import { isReplaced, type Kernel, listKernels } from "../kernels.ts";
import { readModule } from "../module-file.ts";
import { dependencies } from "../watchdog.ts";
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
  return [failures.NEWEST_KERNEL_RUNS({ release })];
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
    return [
      module.users === 0 ? failures.MODULE_CAN_BE_RELOADED({ name: module.name, drives: module.drives }) : held(module),
    ];
  });
}

function held({ name, users, holders }: LoadedModule): Advice {
  const by = holders.length > 0 ? `, by ${holders.join(", ")} among others` : "";
  return failures.MODULE_IS_HELD({ name, users, by });
}

/** Documentation/ABI/testing/sysfs-kernel-livepatch */
function livePatches(machine: Machine): Advice[] {
  const names = machine.names(LIVE_PATCHES).filter((name) => machine.text(`${LIVE_PATCHES}/${name}/enabled`) === "1");
  if (names.length === 0 || machine.isContainer) return [];
  return [failures.LIVE_PATCH_LOADED({ names: names.join(", ") })];
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
    failures.LIBRARIES_REPLACED({
      units: units.join(", "),
      files: files.slice(0, SHOWN).join(", "),
      more,
      unitArguments: units.join(" "),
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
