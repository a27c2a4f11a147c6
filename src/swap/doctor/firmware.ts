/** Firmware that the new kernel's drivers ask for, that is not there, and that the present ones do not ask for. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Kernel } from "../kernels.ts";
import { type Finding, Warning } from "./finding.ts";
import { loadedModules } from "./loaded-modules.ts";
import type { Machine } from "./machine.ts";

/** Where the kernel looks (Documentation/driver-api/firmware/fw_search_path.rst), and what it unpacks. */
const FOLDERS = (release: string): string[] => [
  `/lib/firmware/updates/${release}`,
  "/lib/firmware/updates",
  `/lib/firmware/${release}`,
  "/lib/firmware",
];
const ENDINGS = ["", ".xz", ".zst"];
const SHOWN = 4;

export function lookAtFirmware(machine: Machine, { release, modules }: Kernel): Finding[] {
  if (modules === undefined || release === machine.running) return [];
  return loadedModules(machine)
    .filter(({ drives }) => drives)
    .flatMap(({ name }) => {
      const asked = firmwareOf(name, release);
      if (asked.length === 0) return [];
      // Drivers name firmware of all the devices that they know. What is missing now is not missed.
      const present = new Set(firmwareOf(name, machine.running));
      const missing = asked.filter((file) => !present.has(file) && !isThere(machine, file, release));
      if (
        missing.length === 0 ||
        present.size === 0 ||
        ![...present].some((file) => isThere(machine, file, machine.running))
      )
        return [];
      return [firmwareMissing(name, release, missing)];
    });
}

/** As modinfo(8) lists it. */
function firmwareOf(module: string, release: string): string[] {
  const { stdout } = spawnSync("modinfo", ["-k", release, "-F", "firmware", module], { encoding: "utf8" });
  return (stdout ?? "").split("\n").filter(Boolean);
}

/** Some name a pattern. */
function isThere(machine: Machine, file: string, release: string): boolean {
  if (file.includes("*")) return true;
  return FOLDERS(release).some((folder) =>
    ENDINGS.some((ending) => existsSync(machine.at(`${folder}/${file}${ending}`))),
  );
}

function firmwareMissing(module: string, release: string, files: readonly string[]): Warning {
  const more = files.length > SHOWN ? ` and ${files.length - SHOWN} more` : "";
  return new Warning("FIRMWARE_MISSING", {
    what: `Linux ${release} may not find the firmware for ${module}.`,
    why: `Its driver asks for ${files.slice(0, SHOWN).join(", ")}${more}, which the running kernel's does not, and /lib/firmware has none.`,
    remedy:
      "Upgrade the package with the firmware (apt-file search FILE; firmware-linux and others of non-free-firmware).",
  });
}
