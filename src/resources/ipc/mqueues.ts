/** The message queues of POSIX in an IPC namespace, with their messages (mq_overview(7)). */
import { closeSync, fchmodSync, fchownSync } from "node:fs";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { readdirSync } from "../../sys/files.ts";
import { asUser } from "../../sys/identity.ts";
import { makeFileSystem } from "../../sys/mount.ts";
import { isNotifying, openQueue, queueAttributes, sendMessage } from "../../sys/mqueue.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { KmonteError } from "../../errors/failure.ts";
import { peekQueue } from "../../tracee/peek-queue.x86_64.ts";

export const queueSchema = v.strictObject({
  /** Without the slash. */
  name: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  maxMessages: v.number(),
  messageSize: v.number(),
  /** In the order in which they will be received. */
  messages: v.optional(v.array(v.strictObject({ priority: v.number(), bytes: v.pipe(v.string(), v.base64()) }))),
});
export const queuesSchema = v.array(queueSchema);
export type Queue = v.InferOutput<typeof queueSchema>;

/** Those of the namespace that this thread is in; `awaited` are the names of those that cannot be looked into. */
export function freezeQueues(): { queues: Queue[]; awaited: string[] } {
  const queues: Queue[] = [];
  const awaited: string[] = [];
  for (const name of queueNames()) {
    const fd = openQueue(name, O.O_RDWR | O.O_NONBLOCK);
    try {
      const queue = freezeQueue(name, fd);
      if (queue) queues.push(queue);
      else awaited.push(name);
    } finally {
      closeSync(fd);
    }
  }
  return { queues, awaited };
}

/** `fd` reads and writes, and does not block. Undefined when to look at its messages would tell somebody of them. */
export function freezeQueue(name: string, fd: LocalFd): Queue | undefined {
  const { mode, uid, gid } = fstat(fd);
  const attributes = queueAttributes(fd) ?? { maxMessages: 0, messageSize: 0, messages: 0 };
  if (attributes.messages > 0 && isNotifying(fd)) return undefined;
  const messages = peekQueue(fd, attributes).map(({ priority, bytes }) => ({
    priority,
    bytes: bytes.toString("base64"),
  }));
  const { maxMessages, messageSize } = attributes;
  return { name, mode, uid, gid, maxMessages, messageSize, ...(messages.length > 0 && { messages }) };
}

export function thawQueues(queues: readonly Queue[]): void {
  for (const state of queues) closeSync(thawQueue(state));
}

/** Makes a queue in the namespace that this thread is in. */
export function thawQueue(state: Queue): LocalFd {
  const { name, uid, gid } = state;
  const flags = O.O_RDWR | O.O_CREAT | O.O_EXCL | O.O_NONBLOCK;
  // In the namespace of another user namespace, we may have no name.
  const fd = asUser({ uid, gid, groups: [] }, () => openQueue(name, flags, state));
  try {
    fchownSync(fd, uid, gid);
    fchmodSync(fd, state.mode);
    for (const { priority, bytes } of state.messages ?? []) {
      sendMessage(fd, { priority, bytes: Buffer.from(bytes, "base64") });
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The file system shows the queues of the namespace in which it was made. */
function queueNames(): string[] {
  let mount: number;
  try {
    mount = makeFileSystem("mqueue", "mqueue", []);
  } catch (error) {
    // A kernel without them.
    if (error instanceof KmonteError) return [];
    throw error;
  }
  try {
    return readdirSync(`/proc/self/fd/${mount}`);
  } finally {
    closeSync(mount);
  }
}
