/** Why a process cannot be stopped, in words. */
import { readFileSync } from "node:fs";
import { errnoName } from "../../abi/errno.ts";
import { failures } from "../../errors/catalogue.ts";
import type { KmonteError } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { readStat } from "../../proc/read.ts";
import { parseStatus } from "../../proc/status.ts";
import { refuseFrozenGroup } from "./frozen-cgroup.ts";
import type { StoppedProcess } from "./stopped-set.ts";

export function cannotSeize(process: StoppedProcess, tid: number, result: number): KmonteError {
  const tracer = tracerOf(process.pid);
  const seized = { pid: process.pid, command: process.stat.comm, tid, errno: errnoName(result) };
  if (tracer === 0) return failures.NOT_PERMITTED.seize(seized);
  return failures.TRACED({ ...seized, tracer, tracerCommand: readStat(tracer)?.comm ?? "?" });
}

function tracerOf(pid: number): number {
  const status = orIfGone(() => readFileSync(`/proc/${pid}/status`, "utf8"), "");
  return Number(parseStatus(status).get("TracerPid") ?? 0);
}

export function doesNotStop(process: StoppedProcess, tid: number, patience: number): KmonteError {
  const frozen = refuseFrozenGroup(process.pid, process.stat.comm);
  if (frozen) return frozen;
  const state = readStat(tid)?.state ?? "?";
  return failures.DOES_NOT_STOP({ pid: process.pid, command: process.stat.comm, tid, state, seconds: patience / 1000 });
}

export function keepsChanging(process: StoppedProcess, patience: number): KmonteError {
  return failures.THREADS_CHANGE({ pid: process.pid, command: process.stat.comm, seconds: patience / 1000 });
}

export function vforkInProgress(process: StoppedProcess, tid: number): KmonteError {
  return failures.VFORK_IN_PROGRESS({ pid: process.pid, command: process.stat.comm, tid });
}

export function staysInVdso(process: StoppedProcess, tid: number, tries: number): KmonteError {
  return failures.IN_VDSO({ pid: process.pid, command: process.stat.comm, tid, tries });
}

export function leaderEnded(process: StoppedProcess, why: string): KmonteError {
  return failures.LEADER_ENDED.ended({ pid: process.pid, command: process.stat.comm, why });
}
