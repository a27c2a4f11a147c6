/**
 * A watchdog over the new kernel's boot: its initramfs arms one, and if nobody stops it in time the machine starts
 * anew, whatever hangs. watchdog(8), Documentation/watchdog/watchdog-api.rst.
 */
import { spawnSync } from "node:child_process";
import { closeSync, cpSync, existsSync, globSync, mkdirSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { CpioEntry } from "./cpio.ts";
import type { Kernel } from "./kernels.ts";

export const DEFAULT_DEADLINE_SECONDS = 300;

const DEVICE = "/dev/watchdog0";
const PING_MS = 5_000;

/** Where the initramfs has the driver: a root directory for modprobe(8) of its own. */
const PLACE = "kmonte";

/** Drivers by the parameter that sets their time; most call it heartbeat. */
const PARAMETER: Readonly<Record<string, string>> = { softdog: "soft_margin" };

export interface BootWatchdog {
  readonly driver: string;
  readonly seconds: number;
  readonly script: string;
  readonly files: readonly CpioEntry[];
}

/**
 * The watchdog for this kernel's boot on this machine: the hardware's own where the kernel has a driver for it, else
 * the kernel's (softdog), which sees a user space that hangs but not a kernel that does. Undefined when it has neither.
 */
export function bootWatchdog(kernel: Kernel, seconds: number): BootWatchdog | undefined {
  if (!kernel.modules || !kernel.initrd) return undefined;
  const driver = chooseDriver(
    readText(join(kernel.modules, "modules.alias")),
    presentModaliases(),
    modulesIn(kernel.modules),
  );
  if (!driver) return undefined;
  const files = driverFiles(kernel.modules, kernel.release, driver);
  if (!files) return undefined;
  const parameter = `${PARAMETER[driver] ?? "heartbeat"}=${seconds}`;
  // Opened and closed without the magic character, it stays armed (CONFIG_WATCHDOG_NOWAYOUT or not).
  const script = `MODPROBE_OPTIONS= modprobe -q -d /${PLACE} ${driver} ${parameter}\n[ -c ${DEVICE} ] && (echo >${DEVICE})\n`;
  return { driver, seconds, script, files };
}

/** The driver of a watchdog that is there, by the ids of the devices (modules.alias), or the software one. Pure. */
export function chooseDriver(
  aliases: string,
  modaliases: readonly string[],
  modules: ReadonlySet<string>,
): string | undefined {
  for (const line of aliases.split("\n")) {
    const [word, pattern, driver] = line.split(" ");
    if (word !== "alias" || !pattern || !driver || !modules.has(driver)) continue;
    const expression = new RegExp(`^${pattern.replaceAll(/[.+^${}()|\\]/g, "\\$&").replaceAll("*", ".*")}$`);
    if (modaliases.some((modalias) => expression.test(modalias))) return driver;
  }
  return modules.has("softdog") ? "softdog" : undefined;
}

/** Keeps the watchdog quiet while there is something to do; at the end it counts anew, unless it is stopped. */
export class HeldWatchdog implements Disposable {
  #file: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor() {
    this.#file = openDevice();
    if (this.#file !== undefined) this.#timer = setInterval(() => this.#say("\0"), PING_MS).unref();
  }

  /** All is well, or this kernel is about to be left: its watchdog must not end the next one. */
  stop(): void {
    this.#say("V");
    this[Symbol.dispose]();
  }

  #say(what: string): void {
    if (this.#file !== undefined) writeSync(this.#file, what);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

/** None there, or somebody else (systemd) feeds it: then it is theirs. */
function openDevice(): number | undefined {
  try {
    return openSync(DEVICE, "w");
  } catch {
    return undefined;
  }
}

function modulesIn(modules: string): Set<string> {
  const names = globSync(join(modules, "kernel/drivers/watchdog/*.ko*"));
  return new Set(names.map((path) => basename(path).replace(/\.ko.*$/, "")));
}

function presentModaliases(): string[] {
  return globSync("/sys/bus/{pci,platform,acpi}/devices/*/modalias").map((path) => readText(path).trim());
}

/** The driver and what it depends on as modprobe(8) finds them; undefined when depmod(8) cannot tell. */
function driverFiles(modules: string, version: string, driver: string): CpioEntry[] | undefined {
  const paths = dependencies(readText(join(modules, "modules.dep")), driver);
  if (!paths) return undefined;
  const root = mkdtempSync("/run/kmonte-watchdog-");
  try {
    const target = join(root, "lib/modules", version);
    for (const path of paths) {
      mkdirSync(dirname(join(target, path)), { recursive: true });
      cpSync(join(modules, path), join(target, path));
    }
    for (const name of ["modules.order", "modules.builtin"]) {
      if (existsSync(join(modules, name))) cpSync(join(modules, name), join(target, name));
    }
    const made = spawnSync("depmod", ["-b", root, version], { stdio: "ignore" });
    return made.status === 0 ? treeEntries(root, PLACE) : undefined;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** The module's file and those it needs, going by modules.dep. Pure. */
export function dependencies(modulesDep: string, module: string): string[] | undefined {
  for (const line of modulesDep.split("\n")) {
    const [path = "", needed = ""] = line.split(":");
    if (
      basename(path)
        .replace(/\.ko.*$/, "")
        .replaceAll("-", "_") !== module.replaceAll("-", "_")
    )
      continue;
    return [path, ...needed.split(" ").filter(Boolean)];
  }
  return undefined;
}

function treeEntries(root: string, place: string): CpioEntry[] {
  const paths = readdirSync(root, { recursive: true, withFileTypes: true })
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
  const empty = Buffer.alloc(0);
  return [
    { path: place, mode: 0o040755, data: empty },
    ...paths.map((path) => {
      const isDirectory = statSync(join(root, path)).isDirectory();
      const data = isDirectory ? empty : readFileSync(join(root, path));
      return { path: join(place, path), mode: isDirectory ? 0o040755 : 0o100644, data };
    }),
  ];
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
