/** An open message queue of POSIX (mq_overview(7)). The queue itself stands in the IPC namespace, with its messages. */
import * as v from "valibot";
import { isForUser } from "../../sys/identity.ts";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { isNotifying, openQueue, queueAttributes } from "../../sys/mqueue.ts";
import { namespaceOf, within } from "../../sys/namespaces.ts";
import { S_IF } from "../../abi/stat.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import type { NamespaceHandle } from "../namespace/handle.ts";
import { freezeQueue } from "./mqueues.ts";
import { linkedPath, type ContentsHandle } from "../file/contents.ts";
import type { UnlinkedQueueState } from "./unlinked-mqueue.ts";
import { openForAll } from "../file/reopen.ts";
import { freezeNamedQueue } from "./named-mqueue.ts";
import { openPath } from "../file/path-file.ts";

const schema = v.union([
  v.strictObject({
    /** Without the slash. */
    name: v.string(),
    /** The IPC namespace, when it is one of the set's own. */
    ipc: v.optional(v.string()),
    /** One of the machine's own, with what it holds. */
    queue: v.optional(v.string()),
  }),
  /** A queue without a name. */
  v.strictObject({ unlinked: v.string() }),
]);

/** As the kernel's own mount of the file system shows a queue. */
const LINK = /^\/([^/]+)$/;

export const messageQueue: FileKind<v.InferOutput<typeof schema>, "message-queue"> = {
  name: "message-queue",
  schema,
  recognise: (file) =>
    file.stat.type === S_IF.S_IFREG && LINK.test(file.link) && queueAttributes(file.local) !== undefined,
  freeze(file) {
    const name = LINK.exec(linkedPath(file.link))?.[1] ?? "";
    if (isNotifying(file.local)) {
      throw failures.MQ_NOTIFY({
        file,
        why: "Somebody waits for its next message (mq_notify(3)), and what for cannot be asked.",
      });
    }
    const own = namespaceOf(file.task, "ipc");
    const ipc = own !== undefined && own !== namespaceOf("self", "ipc") ? { ipc: own } : {};
    const { context, stat, local } = file;
    const id = `queue:${stat.device}:${stat.inode}`;
    if (file.stat.links > 0) {
      if (ipc.ipc !== undefined) return { name, ...ipc };
      const made = context.has(id) ? undefined : freezeNamedQueue(context, name, local);
      if (made) context.object(id, () => made);
      return { name, ...(context.has(id) && { queue: id }) };
    }
    const unlinked = context.object(id, (): UnlinkedQueueState => {
      const fd = context.keep(openPath(`/proc/self/fd/${local}`, O.O_RDWR | O.O_NONBLOCK));
      const queue = freezeQueue(name, fd);
      if (!queue) throw failures.MQ_NOTIFY({ file, why: "Somebody waits for its next message (mq_notify(3))." });
      return { kind: "unlinked-queue", queue, ...ipc };
    });
    return { unlinked };
  },
  thaw(state, context, flags) {
    const wanted = flags & (O_ACCMODE | O.O_NONBLOCK | O.O_CLOEXEC);
    if ("unlinked" in state) return context.object<ContentsHandle>(state.unlinked).open(wanted);
    const { name, ipc, queue } = state;
    if (queue !== undefined) return context.object<ContentsHandle>(queue).open(wanted);
    const open = (): ReturnType<typeof openQueue> => context.keep(openQueue(name, wanted));
    if (ipc === undefined) return isForUser() ? open() : openForAll(context.holders, `/${name}`, open);
    return within("ipc", context.object<NamespaceHandle>(ipc).fd, open);
  },
};
