/** `kmonte back`: the way back to the kernel that the processes of a swap came from */
import type { Command } from "commander";
import { failures } from "../../errors/catalogue.ts";
import { refreshMetrics } from "../../report/textfile.ts";
import { formatReport, reportOf } from "../../swap/report.ts";
import { endTrials } from "../../swap/resume.ts";
import { printOutcome } from "../output.ts";

interface Options {
  readonly unlessHealthy?: boolean;
  readonly unfinished?: boolean;
  readonly json?: boolean;
}

export function addBack(program: Command): void {
  program
    .command("back")
    .description("return to the kernel from before the swap that is on trial, with the images of the freeze")
    .option(
      "--unless-healthy",
      "run the swap's health command, and stay when it succeeds; kmonte-health.service runs this",
    )
    .option("--unfinished", "say in the report that a unit failed; kmonte-back.service runs this")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
A swap with --health is on trial until its command has been run. What the processes did meanwhile is lost with the way
back: they resume, on the old kernel, from the moment of the freeze.`,
    )
    .action(async (options: Options) => {
      const records = await endTrials({ failed: options.unlessHealthy !== true });
      if (records.length > 0) refreshMetrics();
      if (records.length === 0 && !options.unlessHealthy && !options.unfinished) throw failures.NOTHING_ON_TRIAL();
      const swaps = records.map(reportOf);
      printOutcome<"back">(options.json, { swaps }, ...swaps.map((swap) => formatReport(swap).trimEnd()));
    });
}
