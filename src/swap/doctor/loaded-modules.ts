/** The modules that the running kernel has loaded, as /sys/module has them (Documentation/ABI/testing/sysfs-module). */
import type { Machine } from "./machine.ts";

export interface LoadedModule {
  /** As the kernel spells it, with underscores. */
  readonly name: string;
  /** How many use it; other modules, mounts, open devices. */
  readonly users: number;
  /** Modules that need it. */
  readonly holders: readonly string[];
  /** Whether a device is driven by it. */
  readonly drives: boolean;
  /** Whether it is not of the kernel's own tree, as DKMS's are. */
  readonly isForeign: boolean;
}

/** What a folder of a driver holds besides links to its devices. */
const OF_DRIVER = new Set(["bind", "unbind", "uevent", "module", "new_id", "remove_id", "driver_override"]);

export function loadedModules(machine: Machine): LoadedModule[] {
  // What is built in has no such file.
  const names = machine.names("/sys/module").filter((name) => machine.has(`/sys/module/${name}/initstate`));
  return names.map((name) => {
    const folder = `/sys/module/${name}`;
    return {
      name,
      users: Number(machine.text(`${folder}/refcnt`)),
      holders: machine.names(`${folder}/holders`),
      drives: machine
        .names(`${folder}/drivers`)
        .some((driver) => drivesSomething(machine, `${folder}/drivers/${driver}`)),
      isForeign: machine.text(`${folder}/taint`).includes("O"),
    };
  });
}

/** Its devices are links, and so is its module. */
function drivesSomething(machine: Machine, driver: string): boolean {
  return machine.names(driver).some((name) => !OF_DRIVER.has(name) && machine.has(`${driver}/${name}/uevent`));
}
