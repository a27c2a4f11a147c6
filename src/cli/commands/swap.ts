/** `kmonte swap --to KERNEL --pid PID…` */
import type { Command } from "commander";
import { swap } from "../../swap/swap.ts";
import { parsePid } from "../arguments.ts";
import { interruptible } from "../interrupt.ts";
import { showProgress } from "../progress.ts";

interface Options {
  readonly to: string;
  readonly pid: number[];
  readonly json?: boolean;
}

export function addSwap(program: Command): void {
  program
    .command("swap")
    .description("boot another kernel with kexec, and take processes along")
    .requiredOption("--to <kernel>", "a version in /boot, or the beginning of one, or the path of a kernel image")
    .requiredOption("--pid <pid>", "a process to take along, with all its descendants; may be given again", parsePid)
    .option("--json", "print an error as JSON; on success there is nobody left to print to")
    .addHelpText(
      "after",
      `
The kernel is loaded with its initramfs and the present command line, the processes are frozen to /var/lib/kmonte/swap,
and the new kernel is started without going through the firmware. kmonte-thaw.service, which this command writes, sets
the processes running again at boot; kmonte report then shows how long each step took. Everything else on the machine
ends, as with any reboot, but without being asked: stop databases that are not taken along first.

Until the moment of the kexec every failure, ^C included, leaves the machine and the processes as they were.

Examples:
  kmonte kernels
  kmonte check 4711
  sudo kmonte swap --to 6.12 --pid 4711`,
    )
    .action(async ({ to, pid, json }: Options) => {
      const progress = showProgress(json === true);
      await interruptible((signal) => swap({ to, pids: pid, onProgress: progress.listen, signal })).finally(
        progress.end,
      );
    });
}
