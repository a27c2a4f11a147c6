/** What of units lies where a boot finds nothing: their folders in /run, and files there that name their processes. */
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { orIfGone } from "../lib/no-such-file.ts";
import { pathsOfContainers } from "./containers.ts";
import { pidsOf, type SurveyedUnit } from "./survey.ts";
import { wordsOf } from "./unit.ts";

const RUN = "/run";
/** A process id, and a newline or none (pidfile_open(3), daemon(7)). */
const PID_FILE = /^\s*(\d{1,7})\s*$/;
const LONGEST_PID_FILE = 32;

/**
 * Paths that are to come along with units though no process may have them open: RuntimeDirectory= and PIDFile=
 * (systemd.exec(5), systemd.service(5)), and files directly in /run that hold the id of one of their processes, which is
 * how daemons without either keep it.
 */
export function carriedPaths(along: readonly SurveyedUnit[]): string[] {
  const named = along.flatMap(({ unit }) => [
    ...wordsOf(unit, "RuntimeDirectory").map((name) => join(RUN, name)),
    ...wordsOf(unit, "PIDFile").filter((path) => path.startsWith(`${RUN}/`)),
  ]);
  const pids = new Set(along.flatMap(pidsOf));
  const found = readdirSync(RUN)
    .map((name) => join(RUN, name))
    .filter((path) => pids.has(pidIn(path) ?? 0));
  const ofContainers = pathsOfContainers([...pids]);
  return [...new Set([...named, ...found, ...ofContainers])].filter((path) => existsSync(path));
}

/** The process id that a small file holds, and nothing else. */
function pidIn(path: string): number | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile() || stats.size > LONGEST_PID_FILE) return undefined;
  const pid = PID_FILE.exec(orIfGone(() => readFileSync(path, "utf8"), ""))?.[1];
  return pid === undefined ? undefined : Number(pid);
}
