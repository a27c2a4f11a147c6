/** The processes that a user named: what can be said of them before anything is stopped. */
import { PF } from "../../abi/task-flags.ts";
import { procPath } from "../../sys/task.ts";
import { readlinkSync } from "node:fs";
import { Refusal } from "../../lib/errors.ts";
import { findTask, readStat } from "../../proc/read.ts";
import { refuseFrozenGroup } from "./frozen-cgroup.ts";

/** Throws a {@link Refusal} for the first process that cannot be frozen for what it is. */
export function checkRoots(pids: readonly number[]): void {
  if (pids.length === 0) {
    throw new Refusal("NO_PROCESS", { what: "No process was named.", remedy: "Name at least one process id." });
  }
  const ancestors = ancestorsOf(process.pid);
  for (const pid of pids) checkRoot(pid, ancestors);
}

function checkRoot(pid: number, ancestors: readonly number[]): void {
  const stat = Number.isInteger(pid) && pid > 0 ? readStat(pid) : undefined;
  const refuse = (code: string, what: string, why: string, remedy: string): never => {
    throw new Refusal(code, { what, why, remedy }, { pid, ...(stat && { command: stat.comm }) });
  };
  if (!stat) {
    refuse(
      "NO_SUCH_PROCESS",
      `There is no process ${pid}.`,
      `/proc/${pid} does not exist.`,
      "Look for the right one with pgrep or ps.",
    );
    return;
  }
  const name = `Process ${pid} (${stat.comm})`;
  if ((stat.flags & PF.PF_KTHREAD) !== 0) {
    refuse(
      "KERNEL_THREAD",
      `${name} cannot be frozen.`,
      "It is a thread of the kernel.",
      "Every kernel brings its own; leave it out.",
    );
  }
  if (pid === 1) {
    refuse(
      "INIT",
      `${name} cannot be frozen.`,
      "It is the init process of the system.",
      "Name the programs themselves.",
    );
  }
  if (ancestors.includes(pid)) {
    const itself = pid === process.pid;
    refuse(
      "OWN_ANCESTOR",
      `${name} cannot be frozen from here.`,
      itself ? "It is kmonte itself." : "kmonte was started by it and would stop with it.",
      "Start kmonte from outside, for example with systemd-run or from another session.",
    );
  }
  if (stat.state === "Z" && stat.threads <= 1) {
    refuse(
      "ZOMBIE",
      `${name} cannot be frozen by itself.`,
      "It has ended and waits for its parent.",
      "Freeze its parent.",
    );
  }
  const frozen = refuseFrozenGroup(pid, stat.comm);
  if (frozen) throw frozen;
  try {
    readlinkSync(procPath(findTask(pid), "exe"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EACCES") {
      refuse(
        "NOT_PERMITTED",
        `${name} belongs to another user.`,
        `/proc/${pid}/exe answered EACCES.`,
        "Run kmonte as root.",
      );
    }
  }
}

function ancestorsOf(pid: number): number[] {
  const chain: number[] = [];
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = readStat(at)?.ppid) chain.push(at);
  return chain;
}
