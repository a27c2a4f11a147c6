/** `kmonte rehearse --to KERNEL --pid PID…` */
import type { Command } from "commander";
import { EXIT_STATUS } from "../../errors/failure.ts";
import { DEFAULT_HEALTH_SECONDS } from "../../swap/health.ts";
import { DEFAULT_REHEARSAL_SECONDS, type Rehearsal, rehearse } from "../../swap/rehearse/rehearse.ts";
import { parsePid, parseSeconds } from "../arguments.ts";
import { interruptible } from "../interrupt.ts";
import { formatMilliseconds, printJson, printLine } from "../output.ts";
import { showProgress } from "../progress.ts";

interface Options {
  readonly to: string;
  readonly pid: number[];
  readonly health?: string;
  readonly healthTimeout: number;
  readonly timeout: number;
  readonly json?: boolean;
}

export function addRehearse(program: Command): void {
  program
    .command("rehearse")
    .description("try a swap with a copy of the processes, in a virtual machine that runs the other kernel")
    .requiredOption("--to <kernel>", "a version in /boot, or the beginning of one, or the path of a kernel image")
    .requiredOption("--pid <pid>", "a process, with all its descendants; may be given again", parsePid)
    .option("--health <command>", "a command for sh, run in the machine after the thaw: it must succeed")
    .option("--health-timeout <seconds>", "how long it may take", parseSeconds, DEFAULT_HEALTH_SECONDS)
    .option("--timeout <seconds>", "how long the machine may take in all", parseSeconds, DEFAULT_REHEARSAL_SECONDS)
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
The processes are stopped for the time of a freeze and resume. Their copy is thawed in a machine without any network that
sees the host's files as they are and writes to its memory alone. It needs QEMU and virtiofsd, memory for the copy, and
disk for its image in /var/lib/kmonte/rehearsal while it lasts. Where hardware virtualisation does not run the kernel it
is emulated: slowly, and on a processor that lacks some instructions, so that a program that uses them may fail there
and yet not in the swap. The exit status is 0 for go and 1 for no-go.

Example:
  sudo kmonte rehearse --to 6.12 --pid 4711 --health 'redis-cli ping'`,
    )
    .action(async ({ to, pid, health, healthTimeout, timeout, json }: Options) => {
      const progress = showProgress(json === true);
      const result = await interruptible((signal) =>
        rehearse({
          to,
          pids: pid,
          ...(health !== undefined && { health: { command: health, seconds: healthTimeout } }),
          seconds: timeout,
          onProgress: progress.listen,
          signal,
        }),
      ).finally(progress.end);
      if (!result.go) process.exitCode = EXIT_STATUS.failed;
      if (json) printJson<"rehearse">(result);
      else show(result);
    });
}

function show(result: Rehearsal): void {
  const where = `Linux ${result.kernel}${result.emulated ? ", emulated" : ""}`;
  printLine(`${result.go ? "Go" : "No-go"}: ${where}. Paused for ${formatMilliseconds(result.pausedMs)}.`);
  if (result.go) return;
  if (result.thawed === undefined) printLine("The machine did not come as far as thawing. The end of its console:");
  else printLine(result.thawed ? "The health command says no:" : "The thaw failed there:");
  for (const line of result.said.split("\n")) printLine(`  ${line}`);
}
