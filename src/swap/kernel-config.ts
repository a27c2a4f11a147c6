/** Whether a kernel, going by its configuration and its modules, can take over what the processes hold. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import type { HeldNeed } from "../freeze/check/kernel-needs.ts";
import { failures } from "../errors/catalogue.ts";
import type { Refusal } from "../errors/failure.ts";
import type { Kernel } from "./kernels.ts";

/** What a target kernel offers. */
export interface Offer {
  /** Options by name: y, m, or a value. */
  readonly options: ReadonlyMap<string, string>;
  /** Tells by its name whether a module's file is there, or it is built in; undefined when that is not known. */
  readonly modules: Pick<ReadonlySet<string>, "has"> | undefined;
}

/** The options of a configuration file; those that are not set are not there. */
export function parseKernelConfig(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const match of text.matchAll(/^(CONFIG_\w+)=(.+)$/gm)) {
    const [, name = "", value = ""] = match;
    if (value !== "n") options.set(name, value);
  }
  return options;
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.\w+)?$/, "")
    .replaceAll("-", "_");
}

/** What was read of kernels: a swap asks several times. */
const known = new WeakMap<Kernel, Offer>();

/** Refuses a kernel of which nothing is known. */
export function readOffer(kernel: Kernel): Offer {
  const offer = known.get(kernel) ?? readFiles(kernel);
  known.set(kernel, offer);
  return offer;
}

function readFiles(kernel: Kernel): Offer {
  if (kernel.config === undefined) {
    throw failures.KERNEL_CONFIG_UNKNOWN({
      release: kernel.release,
      image: kernel.image,
      folder: kernel.image.replace(/[^/]*$/, ""),
    });
  }
  return {
    options: parseKernelConfig(readFileSync(kernel.config, "utf8")),
    modules: kernel.modules === undefined ? undefined : new ModuleList(kernel.modules),
  };
}

/** The modules that modules.dep and modules.builtin of a folder name, as modprobe(8) spells them. */
class ModuleList {
  readonly #directory: string;
  readonly #files: ReadonlyMap<string, string>;
  readonly #builtIn: ReadonlyMap<string, string>;

  constructor(directory: string) {
    this.#directory = directory;
    this.#files = this.#read("modules.dep");
    this.#builtIn = this.#read("modules.builtin");
  }

  has(name: string): boolean {
    const file = this.#files.get(name);
    // What modules.dep lists may have been removed since.
    return this.#builtIn.has(name) || (file !== undefined && existsSync(join(this.#directory, file)));
  }

  /** Paths by the modules' names. */
  #read(list: string): Map<string, string> {
    const path = join(this.#directory, list);
    const text = existsSync(path) ? readFileSync(path, "utf8") : "";
    return new Map(
      text.split("\n").flatMap((line) => {
        const [file] = line.split(":", 1);
        return file ? [[moduleName(file), file] as const] : [];
      }),
    );
  }
}

/** What stands in the way of these needs on that kernel, all of it. Pure. */
export function lackingIn(release: string, offer: Offer, needs: readonly HeldNeed[], processors: number): Refusal[] {
  const refusals: Refusal[] = [];
  const refuse = (why: string, need?: HeldNeed): void => {
    const { pid, command = "" } = need ?? {};
    refusals.push(
      pid === undefined
        ? failures.TARGET_KERNEL_LACKS.set({ release, why })
        : failures.TARGET_KERNEL_LACKS.process({ pid, command, release, why }),
    );
  };
  if (!offer.options.has("CONFIG_X86_64")) refuse("It was built for another architecture.");
  const most = Number(offer.options.get("CONFIG_NR_CPUS") ?? processors);
  if (most < processors) refuse(`It runs on ${most} processors at most (CONFIG_NR_CPUS); here are ${processors}.`);
  for (const need of needs) {
    const value = offer.options.get(need.option);
    if (value === undefined) refuse(`It was built without ${need.option}, needed for ${need.what}.`, need);
    else if (value === "m" && need.module && offer.modules?.has(need.module.replaceAll("-", "_")) === false)
      refuse(`Its module ${need.module} is missing, needed for ${need.what}.`, need);
    else if (value === "m" && need.module && !offer.modules)
      refuse(`Its modules are not installed; ${need.module} is needed for ${need.what}.`, need);
  }
  return refusals;
}

/** Refuses a kernel that could not take the processes; silence means that it can. */
export function requireAbleKernel(kernel: Kernel, needs: readonly HeldNeed[]): void {
  const problems = lackingIn(kernel.release, readOffer(kernel), needs, availableParallelism());
  if (problems.length === 1) throw problems[0] as Refusal;
  if (problems.length > 1) throw failures.TARGET_KERNEL_LACKS.several({ release: kernel.release, refusals: problems });
}
