/**
 * Objects of System V in the machine's IPC namespace that a process was the last to use, or has made: nothing else
 * ties a process to them. They stay where they are; after a reboot they are made again. Those that only others have
 * used are others' business.
 */
import { Memo } from "../memo.ts";
import * as v from "valibot";
import { attempt } from "../../sys/call.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import { SEM } from "../../abi/sysv.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ProcessResource } from "../contract.ts";
import { listSysv } from "./sysv-common.ts";
import { freezeQueue } from "./sysv-queues.ts";
import { freezeSegment } from "./sysv-segments.ts";
import { freezeSemaphores } from "./sysv-semaphores.ts";
import { SEGMENT_PREFIX } from "./sysv-attached-segment.ts";
import { SEMAPHORES_PREFIX } from "./sysv-used-objects.ts";

/** Ids of objects. */
const schema = v.array(v.string());

export const sysvUse: ProcessResource<v.InferOutput<typeof schema>, "sysvUse"> = {
  name: "sysvUse",
  schema,
  *forUser(ids) {
    if (ids.length > 0) yield "It uses objects of System V in the machine's IPC namespace.";
  },
  freeze({ pid, task, context }) {
    if (namespaceOf(task, "ipc") !== namespaceOf("self", "ipc")) return [];
    const by = (line: SysvLine, ...names: string[]): boolean => names.some((name) => line.get(name) === pid);
    return [
      ...listSysv("sem")
        .filter((line) => changedBy(pid, line, context))
        .map((line) => {
          const id = line.get("semid") ?? 0;
          return context.object(`${SEMAPHORES_PREFIX}machine:${id}`, () => ({
            kind: "sysv-semaphores",
            id,
            set: freezeSemaphores(line, context),
          }));
        }),
      ...listSysv("msg")
        .filter((line) => by(line, "lspid", "lrpid"))
        .map((line) =>
          context.object(`sysv-msg:machine:${line.get("msqid")}`, () => ({
            kind: "sysv-queue",
            queue: freezeQueue(line, context),
          })),
        ),
      // What is attached has been noted with the memory that shows it.
      ...listSysv("shm")
        .filter((line) => line.get("nattch") === 0 && by(line, "cpid", "lpid"))
        .map((line) => {
          const [id = 0, size = 0] = ["shmid", "size"].map((name) => line.get(name));
          return context.object(`${SEGMENT_PREFIX}machine:${id}`, () => ({
            kind: "sysv-segment",
            id,
            size,
            segment: freezeSegment(line, undefined, context),
          }));
        }),
    ];
  },
  thaw({ context }, ids) {
    for (const id of ids) context.object(id);
  },
};

const changers = new Memo(() => new Map<number, ReadonlySet<number>>());

/** Whether the process was the last to change one of the semaphores; each set is asked once. */
function changedBy(pid: number, line: SysvLine, context: FreezeContext): boolean {
  const known = context.memo(changers);
  const id = line.get("semid") ?? 0;
  const pids =
    known.get(id) ??
    new Set(Array.from({ length: line.get("nsems") ?? 0 }, (_, i) => attempt("semctl", id, i, SEM.GETPID, 0)));
  known.set(id, pids);
  return pids.has(pid);
}
