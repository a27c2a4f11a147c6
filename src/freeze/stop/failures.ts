/** Why a process cannot be stopped, in words. */
import { readFileSync } from "node:fs";
import { errnoName } from "../../abi/errno.ts";
import { KmonteError, Refusal } from "../../lib/errors.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { readStat } from "../../proc/read.ts";
import { parseStatus } from "../../proc/status.ts";
import { refuseFrozenGroup } from "./frozen-cgroup.ts";
import type { StoppedProcess } from "./stopped-set.ts";

export function cannotSeize(process: StoppedProcess, tid: number, result: number): KmonteError {
  const tracer = tracerOf(process.pid);
  const facts = { pid: process.pid, tid, command: process.stat.comm, syscall: "ptrace", errno: errnoName(result) };
  const what = `Process ${process.pid} (${process.stat.comm}) cannot be stopped.`;
  if (tracer !== 0) {
    const command = readStat(tracer)?.comm ?? "?";
    return new Refusal(
      "TRACED",
      { what, why: `Process ${tracer} (${command}) traces it already.`, remedy: "Detach the debugger first." },
      facts,
    );
  }
  return new Refusal(
    "NOT_PERMITTED",
    {
      what,
      why: `ptrace(PTRACE_SEIZE) on task ${tid} answered ${errnoName(result)}.`,
      remedy: "Run kmonte as root, or as the owner of the process.",
    },
    facts,
  );
}

function tracerOf(pid: number): number {
  const status = orIfGone(() => readFileSync(`/proc/${pid}/status`, "utf8"), "");
  return Number(parseStatus(status).get("TracerPid") ?? 0);
}

export function doesNotStop(process: StoppedProcess, tid: number, patience: number): KmonteError {
  const frozen = refuseFrozenGroup(process.pid, process.stat.comm);
  if (frozen) return frozen;
  const state = readStat(tid)?.state ?? "?";
  return new KmonteError(
    "DOES_NOT_STOP",
    {
      what: `Process ${process.pid} (${process.stat.comm}) does not stop.`,
      why: `Thread ${tid} has been in state ${state} for ${patience / 1000} seconds${state === "D" ? ", waiting for a device" : ""}.`,
      remedy: "Try again when the device answers; nothing was changed.",
    },
    { facts: { pid: process.pid, tid, command: process.stat.comm } },
  );
}

export function keepsChanging(process: StoppedProcess, patience: number): KmonteError {
  return new Refusal(
    "THREADS_CHANGE",
    {
      what: `Process ${process.pid} (${process.stat.comm}) cannot be stopped as a whole.`,
      why: `For ${patience / 1000} seconds it has made threads that ended before they could be stopped.`,
      remedy: "Try again when it does less; nothing was changed.",
    },
    { pid: process.pid, command: process.stat.comm },
  );
}

export function vforkInProgress(process: StoppedProcess, tid: number): KmonteError {
  return new Refusal(
    "VFORK_IN_PROGRESS",
    {
      what: `Process ${process.pid} (${process.stat.comm}) cannot be stopped now.`,
      // Neither ptrace(2) nor a freezer stops such a wait, /proc/PID/syscall has only some of its registers, and the child
      // has written over its copy of the others.
      why: `Thread ${tid} waits for a child of vfork(2) that has not started another program yet, and meanwhile the kernel shows nobody its registers.`,
      remedy: "Try again when it has.",
    },
    { pid: process.pid, tid, command: process.stat.comm },
  );
}

export function staysInVdso(process: StoppedProcess, tid: number, tries: number): KmonteError {
  return new Refusal(
    "IN_VDSO",
    {
      what: `Process ${process.pid} (${process.stat.comm}) could not be stopped in a good moment.`,
      why: `Thread ${tid} was in the kernel's own code (the vDSO) ${tries} times in a row.`,
      remedy: "Try again.",
    },
    { pid: process.pid, tid, command: process.stat.comm },
  );
}

export function leaderEnded(process: StoppedProcess, why: string): KmonteError {
  return new Refusal(
    "LEADER_ENDED",
    {
      what: `Process ${process.pid} (${process.stat.comm}) goes on without its first thread.`,
      why: `Thread ${process.pid} has ended and waits for the others (pthread_exit(3) in main), and ${why}.`,
      remedy: "Leave this process out.",
    },
    { pid: process.pid, command: process.stat.comm },
  );
}
