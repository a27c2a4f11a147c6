/** Threads that have left what a process shares as a rule (unshare(2)); that is told apart by kcmp(2) alone. */
import { attempt } from "../abi/call.ts";
import { KCMP } from "../abi/fcntl.ts";
import { taskOf } from "../abi/living.ts";
import { Refusal } from "../lib/errors.ts";
import type { FreezeContext } from "../resources/contract.ts";

export function refuseUnshared(context: FreezeContext, pid: number, tid: number, command: string): void {
  const main = taskOf(pid);
  if (tid === main) return;
  for (const [name, type] of [
    ["open files", KCMP.FILES],
    ["file system context", KCMP.FS],
  ] as const) {
    if (attempt("kcmp", main, tid, type, 0, 0) <= 0) continue;
    context.refuse(
      new Refusal(
        "UNSHARED_THREAD",
        {
          what: `Process ${pid} (${command}) has a thread that went its own way.`,
          why: `Thread ${tid} has its own ${name} (unshare(2)).`,
          remedy: "Leave this process out.",
        },
        { pid, tid, command },
      ),
    );
  }
}
