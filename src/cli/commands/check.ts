/** `kmonte check PID…` */
import type { Command } from "commander";
import { check } from "../../freeze/freeze.ts";
import { EXIT_STATUS } from "../../lib/errors.ts";
import { parsePid } from "../arguments.ts";
import { formatMilliseconds, printJson, printLine } from "../output.ts";

interface Options {
  readonly json?: boolean;
}

export function addCheck(program: Command): void {
  program
    .command("check")
    .description("say whether processes would freeze, and what stands in the way")
    .argument("<pid...>", "processes to look at, each with all its descendants", parsePid)
    .option("--json", "print the result as JSON")
    .addHelpText("after", "\nThe processes stand still for the time of one look, some milliseconds, and go on.")
    .action(async (pids: number[], options: Options) => {
      const outcome = await check(pids);
      if (outcome.refusals.length > 0) process.exitCode = EXIT_STATUS.refused;
      if (options.json) {
        printJson(outcome);
        return;
      }
      for (const { pid, command, threads } of outcome.processes) {
        printLine(`${pid}  ${command}${threads > 1 ? `, ${threads} threads` : ""}`);
      }
      if (outcome.refusals.length === 0) {
        printLine(`Would freeze. Stood still for ${formatMilliseconds(outcome.pausedMs)}.`);
        return;
      }
      printLine("Would not freeze:");
      for (const refusal of outcome.refusals as { code: string; what: string; why?: string; remedy?: string }[]) {
        printLine(`- ${[refusal.what, refusal.why, refusal.remedy, `[${refusal.code}]`].filter(Boolean).join(" ")}`);
      }
    });
}
