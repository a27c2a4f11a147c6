/**
 * Semaphores and message queues of System V in the machine's IPC namespace that processes of the set have used. They
 * belong to no process and stay where they are, as files do; after a reboot they are made again. Those of a namespace
 * of the set's own come with that.
 */
import * as v from "valibot";
import { attempt } from "../../sys/call.ts";
import { IPC } from "../../abi/sysv.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { ObjectKind } from "../contract.ts";
import type { NamespaceHandle } from "../namespace/handle.ts";
import { listSysv, TIMES_OF_SYSV, type SysvCommon } from "./sysv-common.ts";
import { queueSchema, thawQueue } from "./sysv-queues.ts";
import { semaphoresSchema, thawSemaphores } from "./sysv-semaphores.ts";

const semaphores = v.strictObject({
  kind: v.literal("sysv-semaphores"),
  id: v.number(),
  /** The set's own IPC namespace that they belong to. */
  namespace: v.optional(v.string()),
  set: v.optional(semaphoresSchema),
});
export type SysvSemaphoresState = v.InferOutput<typeof semaphores>;

export interface SemaphoresHandle {
  readonly id: number;
  /** Whether they were made by this thaw, with the values that they had; others have gone on living. */
  readonly fresh: boolean;
  /** The values that they had when the set was frozen. */
  readonly values: readonly number[];
}

/** Ids of sets of semaphores begin with it. */
export const SEMAPHORES_PREFIX = "sysv-sem:";

export const sysvSemaphores: ObjectKind<SysvSemaphoresState, SemaphoresHandle, "sysv-semaphores"> = {
  name: "sysv-semaphores",
  schema: semaphores,
  differs: [{ what: TIMES_OF_SYSV, met: ({ set }) => set !== undefined }],
  thaw({ id, namespace, set }, context) {
    if (namespace !== undefined) context.object<NamespaceHandle>(namespace);
    if (namespace !== undefined || !set) return { id, fresh: true, values: [] };
    if (findHere("sem", set)) return { id, fresh: false, values: set.values };
    context.undo(`semaphores ${id}`, () => attempt("semctl", id, 0, IPC.IPC_RMID, 0));
    thawSemaphores(set, context);
    return { id, fresh: true, values: set.values };
  },
  check: ({ set }) => set && checkFree("sem", set, "semaphores"),
};

const queue = v.strictObject({ kind: v.literal("sysv-queue"), queue: queueSchema });

export const sysvQueue: ObjectKind<v.InferOutput<typeof queue>, number, "sysv-queue"> = {
  name: "sysv-queue",
  schema: queue,
  differs: [{ what: TIMES_OF_SYSV, met: () => true }],
  thaw({ queue: made }, context) {
    if (findHere("msg", made)) return made.id;
    context.undo(`message queue ${made.id}`, () => attempt("msgctl", made.id, IPC.IPC_RMID, 0));
    thawQueue(made, context);
    return made.id;
  },
  check: ({ queue: made }) => checkFree("msg", made, "message queue"),
};

const ID = { sem: "semid", msg: "msqid" } as const;

/** The very object, when it is still there. */
function findHere(sort: "sem" | "msg", { id, key, cuid }: SysvCommon): SysvLine | undefined {
  return listSysv(sort).find(
    (line) => line.get(ID[sort]) === id && line.get("key") === key && line.get("cuid") === cuid,
  );
}

function checkFree(sort: "sem" | "msg", common: SysvCommon, what: string): Refusal | undefined {
  if (findHere(sort, common)) return undefined;
  const { id, key } = common;
  const taken = listSysv(sort).find((line) => line.get(ID[sort]) === id || (key !== 0 && line.get("key") === key));
  if (!taken) return undefined;
  const other = taken.get(ID[sort]);
  return failures.SYSV_ID_TAKEN.object({ what, id, key, other, otherKey: taken.get("key") });
}
