/** An open message queue of POSIX (mq_overview(7)). The queue itself stands in the IPC namespace, with its messages. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { openQueue, queueAttributes } from "../../abi/mqueue.ts";
import { namespaceOf, within } from "../../abi/namespaces.ts";
import { S_IF } from "../../abi/stat.ts";
import { Refusal } from "../../lib/errors.ts";
import type { FileKind, OpenFile } from "../contract.ts";
import type { NamespaceHandle } from "../namespaces/handle.ts";

const schema = v.strictObject({
  /** Without the slash. */
  name: v.string(),
  /** The IPC namespace, when it is one of the set's own. */
  ipc: v.optional(v.string()),
});

/** As the kernel's own mount of the file system shows a queue. */
const LINK = /^\/([^/]+)$/;

export const messageQueue: FileKind<v.InferOutput<typeof schema>> = {
  name: "message-queue",
  schema,
  recognise: (file) =>
    file.stat.type === S_IF.S_IFREG && LINK.test(file.link) && queueAttributes(file.local) !== undefined,
  freeze(file) {
    const name = LINK.exec(file.link)?.[1] ?? "";
    if (file.stat.links === 0) {
      throw refuse(file, "MQ_UNLINKED", "Its name is gone (mq_unlink(3)), and its messages would go with it.");
    }
    const told = readFileSync(`/proc/self/fd/${file.local}`, "utf8");
    if (!/NOTIFY_PID:0\s/.test(told)) {
      throw refuse(file, "MQ_NOTIFY", `Somebody waits for its next message (mq_notify(3)): ${told.trim()}.`);
    }
    const ipc = namespaceOf(file.pid, "ipc");
    return { name, ...(ipc !== undefined && ipc !== namespaceOf("self", "ipc") && { ipc }) };
  },
  thaw({ name, ipc }, context, flags) {
    const open = (): ReturnType<typeof openQueue> =>
      context.keep(openQueue(name, flags & (O_ACCMODE | O.O_NONBLOCK | O.O_CLOEXEC)));
    return ipc === undefined ? open() : within("ipc", context.object<NamespaceHandle>(ipc).fd, open);
  },
};

function refuse(file: OpenFile, code: string, why: string): Refusal {
  return new Refusal(
    code,
    {
      what: `Process ${file.pid} (${file.command}) uses a message queue that cannot be carried.`,
      why: `Descriptor ${file.fd} is the queue ${file.link}. ${why}`,
      remedy: "Let the program close it first.",
    },
    { pid: file.pid, fd: file.fd, command: file.command, path: file.link, resource: "message-queue" },
  );
}
