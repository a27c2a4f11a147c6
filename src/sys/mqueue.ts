/** Message queues of POSIX: mq_overview(7), include/uapi/linux/mqueue.h. */
import { readFileSync } from "node:fs";
import { O } from "../abi/fcntl.ts";
import type { LocalFd } from "../lib/brand.ts";
import { attempt, call, withStruct, withText } from "./call.ts";

/** struct mq_attr: flags, maxmsg, msgsize, curmsgs, and four that are reserved. */
const ATTR_SIZE = 64;

export interface QueueAttributes {
  readonly maxMessages: number;
  readonly messageSize: number;
  readonly messages: number;
}

export interface QueuedMessage {
  readonly priority: number;
  readonly bytes: Buffer;
}

/** `name` without its slash, as the system call wants it. */
export function openQueue(
  name: string,
  flags: number,
  made?: { readonly mode: number } & Pick<QueueAttributes, "maxMessages" | "messageSize">,
): LocalFd {
  return withText(name, (at) =>
    withStruct(ATTR_SIZE, (bytes, attributes) => {
      if (made) {
        bytes.writeBigInt64LE(BigInt(made.maxMessages), 8);
        bytes.writeBigInt64LE(BigInt(made.messageSize), 16);
      }
      const about = `Opening the message queue /${name}`;
      return call("mq_open", about, at, flags, made?.mode ?? 0, made ? attributes : 0) as LocalFd;
    }),
  );
}

/** Undefined for what is no message queue. */
export function queueAttributes(fd: LocalFd): QueueAttributes | undefined {
  return withStruct(ATTR_SIZE, (bytes, at) => {
    if (attempt("mq_getsetattr", fd, 0, at) < 0) return undefined;
    const word = (index: number): number => Number(bytes.readBigInt64LE(index * 8));
    return { maxMessages: word(1), messageSize: word(2), messages: word(3) };
  });
}

/** Puts a message behind all others of its priority. */
export function sendMessage(queue: LocalFd, { priority, bytes }: QueuedMessage): void {
  withStruct(Math.max(bytes.length, 1), (buffer, address) => {
    bytes.copy(buffer);
    call("mq_timedsend", "Filling a message queue", queue, address, bytes.length, priority, 0);
  });
}

/** `name` without its slash. */
export function unlinkQueue(name: string): void {
  withText(name, (address) => call("mq_unlink", `Removing the message queue /${name}`, address));
}

/** Whether somebody waits for news of an open queue (mq_notify(3)). */
export function isNotifying(queue: LocalFd): boolean {
  return !/NOTIFY_PID:0\s/.test(readFileSync(`/proc/self/fd/${queue}`, "utf8"));
}

/** A descriptor of the queue, or a negated errno when there is none. */
export function tryQueue(name: string): number {
  return withText(name, (address) => attempt("mq_open", address, O.O_NONBLOCK, 0, 0));
}
