/** How a process of a set is cloned, and how it ends. */
import { livingThread } from "../../sys/task.ts";
import { SyscallError, attempt } from "../../sys/call.ts";
import { CLONE } from "../../abi/clone.ts";
import { SIGNAL } from "../../abi/signal.ts";
import { WAIT } from "../../abi/wait.ts";
import { KmonteError } from "../../errors/failure.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import { readdirOrEmpty } from "../../proc/read.ts";
import { awaitEnd, expectNodeToWatch } from "../../tracee/stops.ts";
import { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { TraceeMemory } from "../../tracee/memory.ts";
import { idsForClone, pidNamespaceOf } from "./pid-namespaces.ts";
import { cloneWithIds } from "./set-tid.ts";
import type { TreeBuilder } from "./tree-builder.ts";

export function endProcess(pid: number): void {
  // The main thread can be waited for only when all others, which are traced too, have been.
  const threads = readdirOrEmpty(`/proc/${pid}/task`).map(Number);
  attempt("kill", pid, SIGNAL.SIGKILL);
  for (const tid of threads) if (tid !== pid) waitForEnd(tid);
  waitForEnd(pid);
}

/** How long a killed task may take to end. */
const END_DEADLINE_MS = 10_000;

/** Takes all news of a task until there are no more; never waits for ever, whatever became of it. */
export function waitForEnd(tid: number): void {
  awaitEnd(tid, END_DEADLINE_MS);
}

/** A process that leads a session or group for the moment, with the ids that this has in all namespaces. */
export function cloneSessionLeader(
  builder: TreeBuilder,
  from: BuildScope,
  pid: number,
  { pidNamespace: inside }: FrozenProcess,
  pids: readonly number[],
  exitSignal: number,
): BuildScope {
  return cloneBlank(
    builder,
    from,
    pid,
    pids.length > 0 && inside ? { ...inside, pids: [...pids] } : undefined,
    exitSignal,
  );
}

/** Lends a process of the pid namespace of `inside`, with `id` there, if that is free. */
export function withTemporaryProcess<T>(
  { pidNamespaces, root }: TreeBuilder,
  inside: FrozenProcess["pidNamespace"],
  id: number | undefined,
  use: (pid: number) => T,
): T {
  pidNamespaces.aim(root, pidNamespaceOf(inside));
  const clone = (ids: readonly number[]): number =>
    root.clone({ flags: 0, exitSignal: 0 }, ids, "Making a process for one that has ended");
  if (id !== undefined) expectNodeToWatch(id);
  const pid = cloneWith(clone, id);
  try {
    return use(pid);
  } finally {
    endProcess(pid);
    root.attempt("wait4", pid, 0, WAIT.WALL, 0);
  }
}

function cloneWith(clone: (ids: readonly number[]) => number, id: number | undefined): number {
  if (id === undefined) return clone([]);
  try {
    return clone([id]);
  } catch (error) {
    // Someone has the number by now.
    if (error instanceof SyscallError && error.errno === "EEXIST") return clone([]);
    throw error;
  }
}

export function cloneBlank(
  builder: TreeBuilder,
  from: BuildScope,
  pid: number,
  inside: FrozenProcess["pidNamespace"],
  exitSignal: number,
  flags = 0,
  patience?: number,
): BuildScope {
  const { pidNamespaces, userNamespaces, context } = builder;
  const wanted = pidNamespaceOf(inside);
  const more = pidNamespaces.aim(from, wanted);
  // Node may still watch for a child of its own that had this id, and take the news of this one, its clone included.
  expectNodeToWatch(pid);
  const task = {
    args: { flags: (flags | more) >>> 0, exitSignal: (flags & CLONE.PARENT) === 0 ? exitSignal : 0 },
    ids: idsForClone(pid, inside?.pids),
    inside,
    about: `Making a process with the id ${pid}`,
    patience,
  };
  if (more === 0) cloneWithIds(from, userNamespaces, task);
  else
    userNamespaces.create(from, wanted.owner, context.credentialsOf(pid), () =>
      cloneWithIds(from, userNamespaces, task),
    );
  pidNamespaces.created(pid, inside);
  builder.cowSharing.created(pid, from.pid);
  context.undo(`process ${pid}`, () => endProcess(pid));
  const scope = new BuildScope(pid, pid, new TraceeMemory(livingThread(pid)), builder.callArea);
  scope.user = more === 0 ? from.user : wanted.owner;
  Object.assign(scope.entered, from.entered);
  if (more !== 0) userNamespaces.adopt(wanted.owner as string, pid);
  return scope;
}

/**
 * A process that helps for a while, with the same id in all pid namespaces. One that somebody has by now, be it only
 * for a group or a session, is passed over: none of them is better than another.
 */
export function cloneHelper(
  builder: TreeBuilder,
  from: BuildScope,
  where: FrozenProcess["pidNamespace"],
  flags = 0,
): BuildScope {
  for (;;) {
    const id = builder.helperIds.next().value;
    try {
      return cloneBlank(builder, from, id, where && { ...where, pids: where.pids.map(() => id) }, 0, flags, 0);
    } catch (error) {
      if (!(error instanceof KmonteError) || error.code !== "PID_LOST") throw error;
    }
  }
}
