/**
 * A watchdog over the new kernel's boot: its initramfs arms one, and if nobody stops it in time the machine starts
 * anew, whatever hangs. watchdog(8), Documentation/watchdog/watchdog-api.rst.
 */
import { closeSync, globSync, openSync, readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { attempt, withStruct } from "../sys/call.ts";
import { readdirOrEmpty } from "../proc/read.ts";
import type { CpioEntry } from "./cpio.ts";
import { HOOK_PLACE } from "./initrd.ts";
import type { Kernel } from "./kernels.ts";
import { moduleFileName, readModule } from "./module-file.ts";

export const DEFAULT_DEADLINE_SECONDS = 300;
/** More is too much for some watchdogs. */
export const LONGEST_SECONDS = 2046;

/** Whether a text is a whole number of seconds, as watchdogs count. */
export function isSeconds(text: string): boolean {
  return /^\d{1,4}$/.test(text) && Number(text) > 0 && Number(text) <= LONGEST_SECONDS;
}

/**
 * How long a boot may go on for, in seconds, once the processes run: what they do then is lost when the machine is
 * restarted, so that a boot that is slow must not be taken for one that hangs. The first that the driver can count.
 */
const ON_TRIAL_SECONDS = [1800, 900, 600];
/** include/uapi/linux/watchdog.h */
const WDIOC_SETTIMEOUT = 0xc004_5706;

const DEVICE = "/dev/watchdog0";
const PING_MS = 5_000;

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
  const { modules } = kernel;
  const paths = dependencies(readText(join(modules, "modules.dep")), driver);
  if (!paths) return undefined;
  const parameter = `${PARAMETER[driver] ?? "heartbeat"}=${seconds}`;
  // What a module needs stands behind it in modules.dep, and what that needs behind that. insmod(8) and not
  // modprobe(8): nothing of a modules directory has to be there.
  const loads = paths.map(
    (path, i) => `insmod /${HOOK_PLACE}/${moduleFileName(path)}${i === 0 ? ` ${parameter}` : ""}\n`,
  );
  // Opened and closed without the magic character, it stays armed (CONFIG_WATCHDOG_NOWAYOUT or not).
  const script = `${loads.toReversed().join("")}[ -c ${DEVICE} ] && (echo >${DEVICE})\n`;
  const files: CpioEntry[] = [];
  for (const path of paths) {
    const data = readModule(join(modules, path));
    if (!data) return undefined;
    files.push({ path: `${HOOK_PLACE}/${moduleFileName(path)}`, mode: 0o100644, data });
  }
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
  #pinged = 0;

  constructor() {
    this.#file = openDevice();
    if (this.#file !== undefined) this.#timer = setInterval(() => this.ping(), PING_MS).unref();
  }

  /** Says that work goes on; called by whoever does something so long that no timer goes off, as often as he likes. */
  ping(): void {
    const now = performance.now();
    if (now - this.#pinged < PING_MS / 2) return;
    this.#pinged = now;
    this.#say("\0");
  }

  /** The processes run, and the boot goes on: there is more time until it would be taken for one that hangs. */
  extend(): void {
    const file = this.#file;
    if (file === undefined) return;
    withStruct(4, (bytes, address) => {
      for (const seconds of ON_TRIAL_SECONDS) {
        bytes.writeInt32LE(seconds, 0);
        if (attempt("ioctl", file, WDIOC_SETTIMEOUT, address) === 0) return;
      }
    });
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
  // These are links to folders, which globSync does not follow.
  return ["pci", "platform", "acpi"].flatMap((bus) => {
    const folder = join("/sys/bus", bus, "devices");
    return readdirOrEmpty(folder).map((device) => readText(join(folder, device, "modalias")).trim());
  });
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

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
