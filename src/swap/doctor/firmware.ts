/** Firmware that the new kernel's drivers ask for, that is not there, and that the present ones do not ask for. */
import type { Warning } from "../../errors/failure.ts";
import { failures } from "../../errors/catalogue.ts";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Kernel } from "../kernels.ts";
import type { Finding } from "./finding.ts";
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
  const drivers = loadedModules(machine).flatMap(({ name, drives }) => (drives ? [name] : []));
  const lacking = [...firmwareOf(drivers, release)].flatMap(([name, files]) => {
    const missing = files.filter((file) => !isThere(machine, file, release));
    return missing.length > 0 ? [{ name, missing }] : [];
  });
  const present = firmwareOf(
    lacking.map(({ name }) => name),
    machine.running,
  );
  return lacking.flatMap(({ name, missing }) => {
    // Drivers name firmware of all the devices that they know. What is missing now is not missed.
    const now = present.get(name) ?? [];
    const news = missing.filter((file) => !now.includes(file));
    const has = now.some((file) => isThere(machine, file, machine.running));
    return news.length > 0 && has ? [firmwareMissing(name, release, news)] : [];
  });
}

/** The files that modules of a kernel ask for, by their names, as modinfo(8) says it of all of them in one go. */
function firmwareOf(modules: readonly string[], release: string): Map<string, string[]> {
  if (modules.length === 0) return new Map();
  // Of one that is not there it says nothing; the others are told all the same.
  const run = spawnSync("modinfo", ["-k", release, "--", ...modules], { encoding: "utf8", maxBuffer: 64 << 20 });
  return parseModinfo(run.stdout ?? "");
}

/** From what modinfo(8) prints of modules, one after the other. Pure. */
export function parseModinfo(text: string): Map<string, string[]> {
  const asked = new Map<string, string[]>();
  // Of what is built in the name comes first.
  const inOrder = text.replaceAll(/^(name:.*\n)(filename: +\(builtin\)\n)/gm, "$2$1");
  for (const block of inOrder.split(/^(?=filename:)/m)) {
    const name = /^name: +(\S+)$/m.exec(block)?.[1];
    if (name === undefined) continue;
    const files = [...block.matchAll(/^firmware: +(.+)$/gm)].map(([, file = ""]) => file);
    asked.set(name.replaceAll("-", "_"), [...(asked.get(name) ?? []), ...files]);
  }
  return asked;
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
  return failures.FIRMWARE_MISSING({ release, module, files: files.slice(0, SHOWN).join(", "), more });
}
