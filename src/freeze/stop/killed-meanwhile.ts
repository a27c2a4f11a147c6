/** Processes that were killed while they stood still: a freeze that fails must not say that they go on. */
import type { KmonteError } from "../../errors/failure.ts";
import { retold } from "../../errors/retell.ts";
import { readStat } from "../../proc/read.ts";

/** What is known of a process from when it was stopped. */
interface Stopped {
  readonly pid: number;
  readonly stat: { readonly comm: string; readonly state: string };
}

/** States of proc(5) that are a process's end. */
const ENDED = /^[ZX]?$/;

/** Those of the stopped that have ended since, by id and command; nothing but SIGKILL ends what stands still. */
export function endedAmong(processes: Iterable<Stopped>): string[] {
  return [...processes]
    .filter(({ pid, stat }) => !ENDED.test(stat.state) && ENDED.test(readStat(pid)?.state ?? ""))
    .map(({ pid, stat }) => `${pid} (${stat.comm})`);
}

/** The same failure, which says that these do not go on. */
export function withEnded(error: KmonteError, ended: ReadonlySet<string>): KmonteError {
  if (ended.size === 0) return error;
  const names = [...ended].join(", ");
  const what = error.what.replace(/; the processes go on as they were\.$/, ".");
  const killed = `Killed by somebody else while kmonte held them: ${names}. All others go on as they were.`;
  const why = [error.why, killed].filter(Boolean).join(" ");
  return retold(error, { what, why, ...(error.remedy !== undefined && { remedy: error.remedy }) });
}
