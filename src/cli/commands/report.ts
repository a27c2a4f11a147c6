/** `kmonte report` */
import type { Command } from "commander";
import { formatReport, readLastReport } from "../../swap/report.ts";
import { printJson, printLine } from "../output.ts";

interface Options {
  readonly json?: boolean;
}

export function addReport(program: Command): void {
  program
    .command("report")
    .description("show the timeline of the last swap: how long the processes stood still, and what took the time")
    .option("--json", "print the whole record as JSON")
    .action((options: Options) => {
      const report = readLastReport();
      if (options.json) printJson(report);
      else printLine(formatReport(report).trimEnd());
    });
}
