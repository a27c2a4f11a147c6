/** `kmonte kernels` */
import type { Command } from "commander";
import { BASIC_NEEDS } from "../../freeze/check/kernel-needs.ts";
import { KmonteError } from "../../errors/failure.ts";
import { requireAbleKernel } from "../../swap/kernel-config.ts";
import { listKernels, type Kernel } from "../../swap/kernels.ts";
import { printJson, printLine } from "../output.ts";

interface Options {
  readonly json?: boolean;
}

export function addKernels(program: Command): void {
  program
    .command("kernels")
    .description("list the kernels in /boot that can be switched to")
    .option("--json", "print the list as JSON")
    .addHelpText(
      "after",
      "\nThe running one is marked with *. For a kernel that cannot take frozen processes it says why.",
    )
    .action((options: Options) => {
      const kernels = listKernels().map((kernel) => Object.assign({ obstacle: obstacleOf(kernel) }, kernel));
      if (options.json) {
        printJson<"kernels">({ kernels });
        return;
      }
      if (kernels.length === 0) printLine("There is no kernel in /boot.");
      for (const { release, running, image, initrd, obstacle } of kernels) {
        printLine(`${running ? "*" : " "} ${release}  ${image}${initrd === undefined ? ", no initramfs" : ""}`);
        if (obstacle)
          printLine(`    cannot take processes: ${[obstacle.what, obstacle.why, obstacle.remedy].join(" ")}`);
      }
    });
}

/** What keeps a kernel from taking frozen processes. */
function obstacleOf(kernel: Kernel): KmonteError | undefined {
  try {
    requireAbleKernel(kernel, BASIC_NEEDS);
    return undefined;
  } catch (error) {
    if (error instanceof KmonteError) return error;
    throw error;
  }
}
