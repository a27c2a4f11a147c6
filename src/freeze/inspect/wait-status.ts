/** Stops and continuations of children that their parent has not waited for yet: waitid(2) tells without taking. */
import { SIGINFO_SIZE } from "../../abi/signal.ts";
import { CLD, P, WAIT } from "../../abi/wait.ts";
import { childrenOf } from "../../proc/read.ts";
import type { FreezeProcess } from "../../resources/freeze-context.ts";
import { pidNamespaceOf } from "./ids.ts";
import type { StoppedSet } from "../stop/stopped-set.ts";

export type Unwaited = "stopped" | "continued";

/** Asks in the parent, child by child only when there is something at all. */
export function findUnwaited(parent: FreezeProcess, set: StoppedSet): Map<number, Unwaited> {
  const found = new Map<number, Unwaited>();
  const children = childrenOf(parent.pid).flatMap((pid) => {
    const child = set.processes.get(pid);
    return child?.zombie === false ? child : [];
  });
  if (children.length === 0 || ask(parent, P.ALL, 0) === undefined) return found;
  const level = pidNamespaceOf(parent)?.pids.length ?? 0;
  for (const child of children) {
    const news = ask(parent, P.PID, level === 0 ? child.pid : (pidNamespaceOf(child)?.pids[level - 1] ?? child.pid));
    if (news) found.set(child.pid, news);
  }
  return found;
}

function ask({ scope }: FreezeProcess, who: number, id: number): Unwaited | undefined {
  const options = WAIT.WUNTRACED | WAIT.WCONTINUED | WAIT.WNOHANG | WAIT.WNOWAIT | WAIT.WALL;
  scope.put(Buffer.alloc(SIGINFO_SIZE));
  if (scope.attempt("waitid", who, id, scope.scratch, options, 0) < 0) return undefined;
  const code = scope.take(12).readInt32LE(8);
  return code === CLD.STOPPED ? "stopped" : code === CLD.CONTINUED ? "continued" : undefined;
}
