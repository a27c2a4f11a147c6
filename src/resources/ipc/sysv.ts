/**
 * What stands in an IPC namespace of System V's kinds (sysvipc(7)): semaphores, message queues with their messages,
 * shared memory. All of it is the namespace's and no process's. This thread must be inside.
 */
import * as v from "valibot";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { attachments } from "./sysv-attached-segment.ts";
import { listSysv } from "./sysv-common.ts";
import { freezeQueue, queueSchema, thawQueue } from "./sysv-queues.ts";
import { freezeSegment, makeSegment, segmentSchema } from "./sysv-segments.ts";
import { freezeSemaphores, semaphoresSchema, thawSemaphores } from "./sysv-semaphores.ts";

export const sysvSchema = v.strictObject({
  semaphores: v.array(semaphoresSchema),
  queues: v.array(queueSchema),
  segments: v.array(segmentSchema),
});
export type SysvState = v.InferOutput<typeof sysvSchema>;

export function freezeSysv(context: FreezeContext): SysvState {
  const attached = attachments(context);
  return {
    semaphores: listSysv("sem").map((line) => freezeSemaphores(line, context)),
    queues: listSysv("msg").map((line) => freezeQueue(line, context)),
    segments: listSysv("shm").map((line) => freezeSegment(line, attached.get(line.get("shmid") ?? -1), context)),
  };
}

/** Makes everything; the processes that use it must be inside already where the kernel is to note their ids. */
export function thawSysv(state: SysvState, context: ThawContext): void {
  for (const set of state.semaphores) thawSemaphores(set, context);
  for (const made of state.queues) thawQueue(made, context);
  for (const segment of state.segments) makeSegment(segment, context);
}
