/** The processes of the whole machine, as trees that could be frozen one by one. */
import { PF } from "../../abi/task-flags.ts";
import { readdirSync } from "node:fs";
import { KmonteError } from "../../errors/failure.ts";
import { childrenOf, readStat } from "../../proc/read.ts";
import { NOTHING_SEEN, type CheckOutcome } from "./check.ts";
import { takeEngine, giveBack } from "../engine-pool.ts";

/**
 * The roots of the trees: what init started, or was left with. Where a tree holds us, our relatives stand for
 * themselves instead. Init, we and the kernel's threads are in none.
 */
export function treesOfMachine(): number[] {
  const ours = new Set<number>();
  for (let at: number | undefined = process.pid; at !== undefined && at > 0; at = readStat(at)?.ppid) ours.add(at);
  const roots: number[] = [];
  const visit = (pid: number): void => {
    const stat = readStat(pid);
    if (!stat || (stat.flags & PF.PF_KTHREAD) !== 0 || pid === process.pid) return;
    if (pid !== 1 && !ours.has(pid)) roots.push(pid);
    else for (const child of childrenOf(pid)) visit(child);
  };
  for (const name of readdirSync("/proc")) {
    if (/^\d+$/.test(name) && readStat(Number(name))?.ppid === 0) visit(Number(name));
  }
  return roots.sort((a, b) => a - b);
}

/** Looks at several sets, one after the other; what cannot be looked at at all is among the refusals. */
export async function* checkEach(sets: readonly (readonly number[])[]): AsyncGenerator<CheckOutcome> {
  const engine = takeEngine();
  let isWell = false;
  try {
    for (const pids of sets) {
      yield await engine.ask("check", { pids }).catch((error: unknown) => {
        if (!(error instanceof KmonteError)) throw error;
        return { ...NOTHING_SEEN, refusals: [error.toJSON()], pausedMs: 0 };
      });
    }
    isWell = true;
  } finally {
    await (isWell ? giveBack(engine) : engine.end());
  }
}
