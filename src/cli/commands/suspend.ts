/** `kmonte suspend`: protected units to disk over a power-off or a restart */
import type { Command } from "commander";
import { suspend } from "../../swap/suspend.ts";
import { collect, parsePid } from "../arguments.ts";
import { interruptible } from "../interrupt.ts";
import { showProgress } from "../progress.ts";
import { requireRoot } from "../../lib/require-root.ts";
import { agreedPlan } from "../unit-plan.ts";

interface Options {
  readonly pid?: number[];
  readonly restart?: boolean;
  readonly tolerate?: string[];
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly encryptTo?: string[];
  readonly keep?: boolean;
  readonly json?: boolean;
}

export function addSuspend(program: Command): void {
  program
    .command("suspend")
    .description("freeze the protected units to disk and power off; the next boot brings them back")
    .option("--pid <pid>", "a process to take along, with all its descendants; may be given again", parsePid)
    .option("--restart", "restart at once, through the firmware")
    .option(
      "--tolerate <unit>",
      "a protected unit, or a pattern, to start anew if it alone cannot be thawed; may be given again",
      collect,
    )
    .option("--plan", "show what would be done, and do nothing")
    .option("-y, --yes", "do not ask")
    .option("--encrypt-to <recipient>", "encrypt the images to an age recipient (age1…); may be given again", collect)
    .option("--keep", "keep the images when the processes run again")
    .option("--json", "print the plan or an error as JSON; on success there is nobody left to print to")
    .addHelpText(
      "after",
      `
The units that do not go along are stopped by systemd first, in their order, while the protected ones still serve. Until
the machine is powered off every failure, ^C included, leaves the processes as they were and starts again what was
stopped. A boot that cannot take all of them keeps the images and says so; systemd then starts the units anew. With --tolerate, that
is so for a unit that alone cannot be thawed, and the others resume; it must share nothing with them.

Examples:
  sudo kmonte suspend --plan
  sudo kmonte suspend --restart --yes`,
    )
    .action(async ({ pid = [], restart, encryptTo, keep, ...options }: Options) => {
      requireRoot("suspend the machine");
      const plan = await agreedPlan(
        restart ? { purpose: "restart", how: "restart" } : { purpose: "power off", how: "power-off" },
        pid,
        options,
      );
      if (plan === undefined) return;
      const progress = showProgress(options.json === true);
      await interruptible((signal) =>
        suspend({ pids: pid, plan, restart, encryptTo, keep, onProgress: progress.listen, signal }),
      ).finally(progress.end);
    });
}
