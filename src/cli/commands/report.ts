/** `kmonte report` */
import { type Command, Option } from "commander";
import { failures } from "../../errors/catalogue.ts";
import { METRICS_MODE, metricsText } from "../../report/metrics.ts";
import { reportPage } from "../../report/page.ts";
import { METRICS_SETTINGS } from "../../report/textfile.ts";
import { writeReport } from "../../report/write.ts";
import { mailResults } from "../../swap/mail.ts";
import { formatReport, readReports } from "../../swap/report.ts";
import { printJson, printLine, printOutcome } from "../output.ts";

interface Options {
  readonly html?: string;
  readonly metrics?: string | true;
  readonly mail?: boolean;
  readonly json?: boolean;
}

const STANDARD_OUTPUT = "-";

export function addReport(program: Command): void {
  program
    .command("report")
    .description("show the timeline of the last swap: how long the processes were paused, and what took the time")
    .option("--html <file>", "write it as a page for people, with the last swaps beside it; - for standard output")
    .addOption(
      new Option("--metrics [file]", "write it as metrics (OpenMetrics), to standard output without a file").conflicts(
        "html",
      ),
    )
    .option("--mail", "send it to whom an unattended swap is to tell, once; kmonte-result.service runs this")
    .option("--json", "print the whole record as JSON, or the name of the file that was written")
    .addHelpText(
      "after",
      `
The page needs nothing but itself: it can be mailed, printed, or put on a web server. It holds the names of units and
programs and the addresses of their peers, and nothing of their memory.

After each swap the metrics are written to /var/lib/prometheus/node-exporter/kmonte.prom, where that folder is: the
textfile collector of Debian's prometheus-node-exporter reads them there. ${METRICS_SETTINGS} names other folders,
one a line; an empty file turns this off.

Examples:
  kmonte report --html swap.html
  kmonte report --metrics | grep unit_pause`,
    )
    .action((options: Options) => {
      const { html, metrics, mail, json } = options;
      if (mail) return mailAll(json);
      const reports = readReports();
      const [last] = reports;
      const version = program.version() ?? "";
      if (html !== undefined) return put(html, reportPage({ report: last, last: reports, version }), options);
      if (metrics !== undefined)
        return put(metrics === true ? STANDARD_OUTPUT : metrics, metricsText(last), options, METRICS_MODE);
      if (json) printJson<"report">(last);
      else printLine(formatReport(last).trimEnd());
    });
}

function mailAll(json: boolean | undefined): void {
  const mailed = mailResults();
  printOutcome<"report --mail">(
    json,
    { mailed },
    mailed.length > 0 ? `Sent to ${mailed.join(", ")}.` : "Nothing to send.",
  );
}

function put(file: string, text: string, { json }: Options, mode?: number): void {
  if (file === STANDARD_OUTPUT) {
    if (json) throw failures.USAGE.reportOrJson();
    printLine(text.trimEnd());
    return;
  }
  writeReport(file, text, mode);
  printOutcome<"report --html" | "report --metrics">(json, { file }, `Written to ${file}.`);
}
