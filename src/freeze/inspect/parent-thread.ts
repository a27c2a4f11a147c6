/**
 * Which thread made a child: it alone waits for it with __WNOTHREAD (wait(2)), and its end, not that of the process,
 * sends the child's death signal (PR_SET_PDEATHSIG of prctl(2)). A thawed child is its parent's first thread's.
 */
import { readFileSync } from "../../sys/files.ts";
import type { ThreadStates } from "../../resources/registry.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";

/** Where the difference would be felt at a time that nobody expects it. */
export function refuseParentThread(processes: readonly FrozenProcess[], refuse: (refusal: Refusal) => void): void {
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  for (const { pid, ppid, command, body } of processes) {
    const threads = byPid.get(ppid)?.body?.threads ?? [];
    if (threads.length < 2 || !body?.threads.some(hasDeathSignal)) continue;
    const maker = threads.find(({ tid }) => childrenOfThread(ppid, tid).includes(pid));
    if (maker === undefined || maker === threads[0]) continue;
    refuse(failures.PARENT_THREAD({ pid, command, maker: maker.tid, ppid }));
  }
}

/** A thread whose marks were refused has none. */
function hasDeathSignal({ nameAndDeathSignal: marks }: Partial<ThreadStates>): boolean {
  return marks !== undefined && marks.parentDeathSignal !== 0;
}

/** Needs CONFIG_PROC_CHILDREN. */
function childrenOfThread(pid: number, tid: number): number[] {
  const text = orIfGone(() => readFileSync(`/proc/${pid}/task/${tid}/children`, "utf8"), "");
  return text.trim().split(" ").filter(Boolean).map(Number);
}
