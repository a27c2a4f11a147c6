/** The processes that a user named: what can be said of them before anything is stopped. */
import { PF } from "../../abi/task-flags.ts";
import { procPath } from "../../sys/task.ts";
import { readlinkSync } from "node:fs";
import { findTask, isZombie, readProcessStat, readStat } from "../../proc/read.ts";
import { failures } from "../../errors/catalogue.ts";
import { refuseFrozenGroup } from "./frozen-cgroup.ts";

/** Throws a {@link Refusal} for the first process that cannot be frozen for what it is. */
export function checkRoots(pids: readonly number[]): void {
  if (pids.length === 0) {
    throw failures.NO_PROCESS();
  }
  const ancestors = ancestorsOf(process.pid);
  for (const pid of pids) checkRoot(pid, ancestors);
}

function checkRoot(pid: number, ancestors: readonly number[]): void {
  const stat = Number.isInteger(pid) && pid > 0 ? readProcessStat(pid) : undefined;
  if (!stat) throw failures.NO_SUCH_PROCESS({ pid });
  const named = { pid, command: stat.comm };
  if ((stat.flags & PF.PF_KTHREAD) !== 0) throw failures.KERNEL_THREAD(named);
  if (pid === 1) throw failures.INIT(named);
  if (ancestors.includes(pid)) throw failures.OWN_ANCESTOR({ ...named, isItself: pid === process.pid });
  if (isZombie(stat)) throw failures.ZOMBIE(named);
  const frozen = refuseFrozenGroup(pid, stat.comm);
  if (frozen) throw frozen;
  try {
    readlinkSync(procPath(findTask(pid), "exe"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EACCES") throw failures.NOT_PERMITTED.otherUser(named);
  }
}

function ancestorsOf(pid: number): number[] {
  const chain: number[] = [];
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = readStat(at)?.ppid) chain.push(at);
  return chain;
}
