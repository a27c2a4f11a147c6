/** The message queues of POSIX in an IPC namespace, which must be empty: to look at a message is to take it away. */
import { closeSync, fchmodSync, fchownSync, readdirSync } from "node:fs";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { makeFileSystem } from "../../abi/mount.ts";
import { openQueue, queueAttributes } from "../../abi/mqueue.ts";
import { fstat } from "../../abi/stat.ts";
import { KmonteError } from "../../lib/errors.ts";

const queue = v.strictObject({
  /** Without the slash. */
  name: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  maxMessages: v.number(),
  messageSize: v.number(),
});
export const queuesSchema = v.array(queue);
type Queue = v.InferOutput<typeof queue>;

/** Those of the namespace that this thread is in; `full` are the names of those that are not empty. */
export function freezeQueues(): { queues: Queue[]; full: string[] } {
  const queues: Queue[] = [];
  const full: string[] = [];
  for (const name of queueNames()) {
    const fd = openQueue(name, O.O_NONBLOCK);
    try {
      const { mode, uid, gid } = fstat(fd);
      const { maxMessages = 0, messageSize = 0, messages = 0 } = queueAttributes(fd) ?? {};
      if (messages > 0) full.push(name);
      queues.push({ name, mode, uid, gid, maxMessages, messageSize });
    } finally {
      closeSync(fd);
    }
  }
  return { queues, full };
}

export function thawQueues(queues: readonly Queue[]): void {
  for (const state of queues) {
    const fd = openQueue(state.name, O.O_RDWR | O.O_CREAT | O.O_EXCL, state);
    try {
      fchownSync(fd, state.uid, state.gid);
      fchmodSync(fd, state.mode);
    } finally {
      closeSync(fd);
    }
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
