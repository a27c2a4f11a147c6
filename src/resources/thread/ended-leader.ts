/**
 * The first thread of a process, which has ended before the others (pthread_exit(3) in main): it stays, as a zombie
 * that nobody can wait for, until they have ended too, and the process is known by what is left of it.
 */
import * as v from "valibot";
import { PR } from "../../abi/prctl.ts";
import { PTRACE_O } from "../../abi/ptrace.ts";
import { failures } from "../../errors/catalogue.ts";
import type { ProcessStat } from "../../proc/status.ts";
import { readStat } from "../../proc/read.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";
import { setOptions } from "../../tracee/ptrace.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { Answers } from "../contract.ts";
import { credentials } from "../security/credentials.ts";
import { scheduling } from "./scheduling.ts";

export const endedLeaderSchema = v.strictObject({
  /** What it said at its end (_exit(2)): the status of the process, if all others end by themselves. */
  status: v.number(),
  name: v.string(),
  credentials: credentials.schema,
  scheduling: scheduling.schema,
});
export type EndedLeader = v.InferOutput<typeof endedLeaderSchema>;

/** `answers` are those of a thread that lives, for what only a thread itself can tell. */
export function freezeEndedLeader(
  process: FreezeProcess,
  leader: { readonly stat: ProcessStat; readonly status: ReadonlyMap<string, string> },
  answers: ReadonlyMap<string, Answers>,
): EndedLeader {
  const { pid, task, command } = process;
  const { stat, status } = leader;
  // The others go on after a filter's SECCOMP_RET_KILL_THREAD, but nothing else than such a filter ends it that way.
  if ((stat.exitCode & 0x7f) !== 0) throw failures.LEADER_ENDED.killed({ pid, command });
  const thread = { process, tid: pid, task, stat, status, scope: process.scope, sleepsUntil: undefined };
  return {
    status: stat.exitCode >> 8,
    name: stat.comm,
    credentials: credentials.freeze(thread, answers.get("credentials") as Answers),
    scheduling: scheduling.freeze(thread, answers.get("scheduling") as Answers),
  };
}

/** How long a thread may take to end. */
const END_DEADLINE_MS = 10_000;

/** Its end; from then on `heir`, another thread, makes the calls of the process. */
export function thawEndedLeader(process: ThawProcess, state: EndedLeader, heir: number): void {
  const { scope, pid } = process;
  const thread = { process, tid: pid, scope };
  scope.call("prctl", "Naming the first thread", PR.SET_NAME, scope.put(Buffer.from(`${state.name}\0`)));
  scheduling.thaw?.(thread, state.scheduling);
  credentials.thaw?.(thread, state.credentials);
  // The others still die with us until all go on; what has ended cannot be told later that it need not.
  setOptions(pid, PTRACE_O.TRACESYSGOOD);
  scope.exitThread(state.status);
  const deadline = Date.now() + END_DEADLINE_MS;
  while (readStat(pid)?.state !== "Z") {
    if (Date.now() > deadline) throw failures.DOES_NOT_END({ pid });
    sleepMicroseconds(50);
  }
  scope.continueIn(heir);
}
