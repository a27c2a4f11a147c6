/** Whether a kernel, going by its configuration file, can take over frozen processes. */
import { readFileSync } from "node:fs";
import { Refusal } from "../lib/errors.ts";
import type { Kernel } from "./kernels.ts";

/** Options without which a thaw cannot work, each with what it is needed for. */
const REQUIRED: Readonly<Record<string, string>> = {
  CONFIG_CHECKPOINT_RESTORE: "processes get back their ids and the layout of their memory",
  CONFIG_TIME_NS: "clocks go on where they stopped",
  CONFIG_PROC_PAGE_MONITOR: "it is seen which pages of memory a process uses",
};

/** The options of a configuration file that are built in or modules. */
export function parseKernelConfig(text: string): Set<string> {
  const options = new Set<string>();
  for (const match of text.matchAll(/^(CONFIG_\w+)=[ym]$/gm)) if (match[1]) options.add(match[1]);
  return options;
}

/** Refuses a kernel that could not take the processes; silence means that it can. */
export function requireAbleKernel(kernel: Kernel): void {
  if (kernel.config === undefined) {
    throw new Refusal("KERNEL_CONFIG_UNKNOWN", {
      what: `Whether Linux ${kernel.release} can take the processes is not known.`,
      why: `There is no configuration file of it beside ${kernel.image}.`,
      remedy: `Put it at ${kernel.image.replace(/[^/]*$/, "")}config-${kernel.release}.`,
    });
  }
  const options = parseKernelConfig(readFileSync(kernel.config, "utf8"));
  const missing = Object.keys(REQUIRED).filter((name) => !options.has(name));
  if (missing.length === 0) return;
  throw new Refusal(
    "KERNEL_NOT_ABLE",
    {
      what: `Linux ${kernel.release} cannot take the processes.`,
      why: `It was built without ${missing.map((name) => `${name} (so that ${REQUIRED[name]})`).join(", ")}.`,
      remedy: "Choose another kernel: kmonte kernels lists them.",
    },
    { path: kernel.config },
  );
}
