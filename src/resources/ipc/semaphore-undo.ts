/**
 * What the kernel will do to semaphores of System V when a thread's process ends (SEM_UNDO of semop(2)).
 *
 * When the frozen processes end, the kernel does it, and whoever waits outside goes on; thawing takes it back, so that
 * a semaphore that stood for a lock is locked again, or says that somebody else has it now.
 */
import type { Task } from "../../lib/brand.ts";
import { compareTasks, livingThread } from "../../sys/task.ts";
import { Memo } from "../memo.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { SyscallError } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { CLONE } from "../../abi/clone.ts";
import { KCMP } from "../../abi/fcntl.ts";
import { namespaceOf, openNamespace, within } from "../../sys/namespaces.ts";
import { MOST_SEMAPHORE, SEM } from "../../abi/sysv.ts";
import { failures } from "../../errors/catalogue.ts";
import { readStat } from "../../proc/read.ts";
import { encodeOperations, readAdjustments } from "../../tracee/semaphore-undo.ts";
import type { FreezeThread } from "../freeze-context.ts";
import type { ThawThread } from "../thaw-context.ts";
import type { ThreadResource } from "../contract.ts";
import { commonOf, listSysv } from "./sysv-common.ts";
import { freezeSemaphores, readSemaphores } from "./sysv-semaphores.ts";
import { SEMAPHORES_PREFIX, type SemaphoresHandle, type SysvSemaphoresState } from "./sysv-used-objects.ts";

const schema = v.optional(
  v.strictObject({
    /** The thread's own, no other thread's: unshare(2) with CLONE_SYSVSEM. */
    separate: v.boolean(),
    /** What will be added to semaphores, by object and index. */
    adjustments: v.array(v.strictObject({ semaphores: v.string(), index: v.number(), by: v.number() })),
  }),
);
type State = v.InferOutput<typeof schema>;
type Adjustment = NonNullable<State>["adjustments"][number];

export const semaphoreUndo: ThreadResource<State, "semaphoreUndo"> = {
  name: "semaphoreUndo",
  schema,
  *forUser(state) {
    if (state) yield "It has adjustments of semaphores to be made at its end (SEM_UNDO).";
  },
  freeze(thread) {
    const { pid, context } = thread.process;
    if (hasNone(thread.task)) return undefined;
    const known = context.memo(firstThreads);
    // Whoever shares them gets them by clone(2) (CLONE_SYSVSEM): the first has carried them.
    const sharer = [...known.values()].some((other) => compareTasks(thread.task, other, KCMP.SYSVSEM) === 0);
    const separate = known.has(pid);
    if (!separate) known.set(pid, thread.task);
    if (sharer) return undefined;
    const adjustments = inNamespace(thread.process.task, () => findAdjustments(thread));
    if (adjustments.length === 0) return undefined;
    return { separate, adjustments };
  },
  thaw(thread, state) {
    if (!state) return;
    const { scope, process } = thread;
    if (state.separate) scope.call("unshare", "Leaving the others' semaphore adjustments", CLONE.SYSVSEM);
    for (const adjustment of state.adjustments) {
      const handle = process.context.object<SemaphoresHandle>(adjustment.semaphores);
      if (handle.fresh) note(thread, handle.id, adjustment);
      else takeBack(thread, handle, adjustment);
    }
  },
};

/** The first thread of each process that was looked at. */
const firstThreads = new Memo(() => new Map<number, Task>());

/** The kernel's own threads have no adjustments, which is how to tell that a thread has none. */
const KERNEL_THREAD = livingThread(2);
let hasKernelThread: boolean | undefined;

function hasNone(task: Task): boolean {
  hasKernelThread ??= readStat(KERNEL_THREAD)?.comm === "kthreadd";
  return hasKernelThread && compareTasks(task, KERNEL_THREAD, KCMP.SYSVSEM) === 0;
}

function inNamespace<T>(task: Task, action: () => T): T {
  if (namespaceOf(task, "ipc") === namespaceOf("thread-self", "ipc")) return action();
  const namespace = openNamespace(task, "ipc");
  try {
    return within("ipc", namespace, action);
  } finally {
    closeSync(namespace);
  }
}

/** How often values may change under our eyes, by somebody outside. */
const MOST_TRIES = 5;

function findAdjustments({ process, scope }: FreezeThread): Adjustment[] {
  const own = namespaceOf("thread-self", "ipc") !== namespaceOf("self", "ipc");
  return listSysv("sem").flatMap((line) => {
    const { id } = commonOf(line, "semid");
    const count = line.get("nsems") ?? 0;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const values = readSemaphores(id, count);
      const found = ask(
        scope,
        values.map((value, index) => ({ set: id, index, value })),
      );
      if (!found || found.every((by) => by === 0)) return [];
      if (String(readSemaphores(id, count)) !== String(values)) continue;
      const namespace = namespaceOf("thread-self", "ipc") as string;
      const semaphores = process.context.object(`${SEMAPHORES_PREFIX}${own ? namespace : "machine"}:${id}`, () => {
        const base = { kind: "sysv-semaphores" as const, id };
        const state: SysvSemaphoresState = own
          ? { ...base, namespace }
          : { ...base, set: freezeSemaphores(line, process.context) };
        return state;
      });
      return found.flatMap((by, index) => (by === 0 ? [] : [{ semaphores, index, by }]));
    }
    throw failures.SEM_UNDO({
      pid: process.pid,
      command: process.command,
      why: `The semaphores ${id} are changed all the time, so that what it will undo cannot be told.`,
    });
  });
}

/** Undefined for a set that the thread may not change: there it has nothing to undo. */
function ask(scope: FreezeThread["scope"], semaphores: Parameters<typeof readAdjustments>[1]): number[] | undefined {
  try {
    return readAdjustments(scope, semaphores);
  } catch (error) {
    if (error instanceof SyscallError && ["EACCES", "EIDRM", "EINVAL"].includes(error.errno)) return undefined;
    throw error;
  }
}

function operate({ scope, process }: ThawThread, id: number, operations: Parameters<typeof encodeOperations>[0]): void {
  const at = scope.put(encodeOperations(operations));
  const result = scope.attempt("semop", id, at, operations.length);
  if (result === -ERRNO.EAGAIN) {
    throw failures.SEMAPHORE_TAKEN({ process, id });
  }
  if (result < 0)
    throw new SyscallError("semop", result, `Restoring what process ${process.pid} will undo`, process.pid);
}

/** The end of the frozen process has added `by`, as far as the semaphore's bounds let it: it is taken away again. */
function takeBack(thread: ThawThread, { id, values }: SemaphoresHandle, adjustment: Adjustment): void {
  const { index, by } = adjustment;
  const before = values[index] ?? 0;
  const added = Math.min(Math.max(before + by, 0), MOST_SEMAPHORE) - before;
  if (added === by) return operate(thread, id, [[index, -by, true]]);
  note(thread, id, adjustment);
  operate(thread, id, [[index, -added]]);
}

/** The semaphore has its value already: what is taken with undo is given without, in parts that it has room for. */
function note(thread: ThawThread, id: number, { index, by }: Adjustment): void {
  const value = thread.scope.call("semctl", "Reading a semaphore", id, index, SEM.GETVAL, 0);
  const room = MOST_SEMAPHORE - value;
  for (let left = Math.abs(by); left > 0;) {
    const size = Math.min(left, Math.max(value, room));
    const undone = [index, by > 0 ? -size : size, true] as const;
    const given = [index, by > 0 ? size : -size] as const;
    const upFirst = size <= room;
    operate(thread, id, by > 0 === upFirst ? [given, undone] : [undone, given]);
    left -= size;
  }
}
