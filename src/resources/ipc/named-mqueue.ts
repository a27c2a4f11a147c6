/**
 * A message queue of POSIX under its name in the machine's own IPC namespace (mq_overview(7)): it is used as it is where
 * it still stands, and made again with its messages where a boot has taken it away.
 */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { openQueue, tryQueue, unlinkQueue } from "../../sys/mqueue.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";
import { freezeQueue, queueSchema, thawQueue } from "./mqueues.ts";
import type { ContentsHandle } from "../file/contents.ts";
import { openForAll } from "../file/reopen.ts";
import { openPath } from "../file/path-file.ts";

const schema = v.strictObject({ kind: v.literal("named-queue"), queue: queueSchema });
type NamedQueueState = v.InferOutput<typeof schema>;

/** Undefined where to look at its messages would tell somebody of them. `local` is any descriptor of it. */
export function freezeNamedQueue(context: FreezeContext, name: string, local: LocalFd): NamedQueueState | undefined {
  const queue = freezeQueue(name, context.keep(openPath(`/proc/self/fd/${local}`, O.O_RDWR | O.O_NONBLOCK)));
  if (queue) return { kind: "named-queue", queue };
  context.note(
    `The message queue /${name} would be gone after a boot: its messages cannot be looked at, as somebody waits for news of it (mq_notify(3)).`,
  );
  return undefined;
}

export const namedQueue: ObjectKind<NamedQueueState, ContentsHandle, "named-queue"> = {
  name: "named-queue",
  schema,
  thaw({ queue }, context) {
    const { name } = queue;
    const found = tryQueue(name);
    if (found >= 0) {
      closeSync(found);
      // Nothing tells whether it is the same.
      return { open: (flags) => openForAll(context.holders, `/${name}`, () => openQueue(name, flags)) };
    }
    const made = context.keep(thawQueue(queue));
    context.undo(`message queue /${name}`, () => unlinkQueue(name));
    return { open: (flags) => openPath(`/proc/self/fd/${made}`, flags) };
  },
};
