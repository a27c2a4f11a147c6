/** The metrics of the last swap, where node_exporter's textfile collector finds them: written anew whenever they change. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { failures } from "../errors/catalogue.ts";
import { KmonteError } from "../errors/failure.ts";
import { readReports } from "../swap/report.ts";
import { METRICS_MODE, metricsText } from "./metrics.ts";
import { writeReport } from "./write.ts";

/** Folders for the metrics, one a line; without this file that of Debian's prometheus-node-exporter, where it is. */
export const METRICS_SETTINGS = "/etc/kmonte/metrics.conf";
const DEBIAN_FOLDER = "/var/lib/prometheus/node-exporter";
const NAME = "kmonte.prom";

/** Never fails: the swap is over, and what could not be written is said on standard error. */
export function refreshMetrics(settings: string = METRICS_SETTINGS): void {
  try {
    const folders = metricsFolders(settings);
    if (folders.length === 0) return;
    const text = metricsText(readReports()[0]);
    for (const folder of folders) attempt(() => writeReport(join(folder, NAME), text, METRICS_MODE));
  } catch (error) {
    if (!(error instanceof KmonteError && error.code === "NO_SWAP_YET")) note(error);
  }
}

/** Where they go, going by the settings. */
export function metricsFolders(settings: string): string[] {
  if (!existsSync(settings)) return isFolder(DEBIAN_FOLDER) ? [DEBIAN_FOLDER] : [];
  const lines = readFileSync(settings, "utf8").split("\n");
  const folders = lines.map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
  const strange = folders.find((folder) => !isAbsolute(folder));
  if (strange === undefined) return folders;
  throw failures.METRICS_SETTINGS({ settings, strange: JSON.stringify(strange) });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function attempt(write: () => void): void {
  try {
    write();
  } catch (error) {
    note(error);
  }
}

function note(error: unknown): void {
  const why = error instanceof Error ? error.message : String(error);
  process.stderr.write(`kmonte: note: the metrics of the swap could not be written. ${why}\n`);
}
