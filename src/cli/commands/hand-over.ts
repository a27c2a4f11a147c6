/** `kmonte hand-over`: the last step of a boot that thawed units */
import type { Command } from "commander";
import { refreshMetrics } from "../../report/textfile.ts";
import { handOverUnits } from "../../swap/resume.ts";
import { printJson, printLine } from "../output.ts";
import { requireRoot } from "../../lib/require-root.ts";

interface Options {
  readonly json?: boolean;
}

export function addHandOver(program: Command): void {
  program
    .command("hand-over")
    .description(
      "see to it that systemd has the units again that this boot has thawed; kmonte-hand-over.service runs this",
    )
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      `
In the boot that thaws it, a unit's ExecStart= tells systemd of the thawed processes (a drop-in in /etc/systemd/system).
This command starts the units that the boot did not, waits until all are active, and takes the drop-ins away.`,
    )
    .action(async (options: Options) => {
      requireRoot("hand units over");
      const records = await handOverUnits();
      if (records.length > 0) refreshMetrics();
      const units = records.flatMap((record) => record.units ?? []);
      if (options.json)
        return printJson<"hand-over">({ units: units.map(({ name, mainPid, after }) => ({ name, mainPid, after })) });
      for (const { name, after } of units)
        printLine(
          `${name}: ${after?.activeState ?? "unknown"}${after?.mainPid ? `, main process ${after.mainPid}` : ""}`,
        );
    });
}
