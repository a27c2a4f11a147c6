/** A message queue of POSIX whose name was removed while it was open (mq_unlink(3)): it travels with its messages. */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { tryQueue, unlinkQueue } from "../../sys/mqueue.ts";
import { within } from "../../sys/namespaces.ts";
import type { ObjectKind } from "../contract.ts";
import type { NamespaceHandle } from "../namespace/handle.ts";
import { queueSchema, thawQueue } from "./mqueues.ts";
import type { ContentsHandle } from "../file/contents.ts";
import { openPath } from "../file/path-file.ts";

const schema = v.strictObject({
  kind: v.literal("unlinked-queue"),
  queue: queueSchema,
  /** The IPC namespace, when it is one of the set's own. */
  ipc: v.optional(v.string()),
});
export type UnlinkedQueueState = v.InferOutput<typeof schema>;

export const unlinkedQueue: ObjectKind<UnlinkedQueueState, ContentsHandle, "unlinked-queue"> = {
  name: "unlinked-queue",
  schema,
  thaw({ queue, ipc }, context) {
    const make = (): ReturnType<typeof thawQueue> => {
      const name = isFree(queue.name) ? queue.name : `kmonte-${process.pid}-${queue.name}`.slice(0, NAME_MAX);
      const fd = thawQueue({ ...queue, name });
      unlinkQueue(name);
      return fd;
    };
    const fd = context.keep(ipc === undefined ? make() : within("ipc", context.object<NamespaceHandle>(ipc).fd, make));
    return { open: (flags) => openPath(`/proc/self/fd/${fd}`, flags & ~O.O_CREAT) };
  },
};

const NAME_MAX = 255;

/** Whether no queue of the namespace that this thread is in has the name by now. */
function isFree(name: string): boolean {
  const found = tryQueue(name);
  if (found >= 0) closeSync(found);
  return found < 0;
}
