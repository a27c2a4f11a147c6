/** What stands in a socket's receive queue: looked at without taking it (recv(2), MSG_PEEK), and put back by sending. */
import { failures } from "../../errors/catalogue.ts";
import { Defect } from "../../errors/wrong-input.ts";
import { POLL } from "../../abi/poll.ts";
import { pollNow } from "../../sys/poll.ts";
import * as v from "valibot";
import { SyscallError, attempt } from "../../sys/call.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import { ERRNO } from "../../abi/errno.ts";
import { NativeBuffer } from "../../sys/ffi.unsafe.ts";
import { SCM, credentialsMessage, rightsMessage } from "../../abi/message.ts";
import { type ReceivedMessage, receive, send } from "../../sys/message.ts";
import { unixNameOf } from "../../abi/sockaddr.ts";
import { MSG, SIOCINQ, SO, SOCK, SOL } from "../../abi/socket.ts";
import { getInt, getOption, ioctlInt, setInt } from "../../sys/socket.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { closeSync } from "node:fs";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";

const messageSchema = v.strictObject({
  /** Bytes of the queue's blob that belong to it. */
  length: v.number(),
  /** The sender's name, of datagrams. */
  from: v.optional(v.string()),
  /** Open files in flight with it (SCM_RIGHTS). */
  files: v.optional(v.array(v.string())),
  /** Who sent it, where the receiver asks for that (SO_PASSCRED). */
  credentials: v.optional(v.strictObject({ pid: v.number(), uid: v.number(), gid: v.number() })),
});
export const queueSchema = v.strictObject({ blob: v.string(), messages: v.array(messageSchema) });
export type Queue = v.InferOutput<typeof queueSchema>;

/** Larger than any message that a sender's buffer allows by default; pages that nothing is written to cost nothing. */
const ROOM = 32 * 1024 * 1024;

/** Looks at a unix socket's queue. Nothing is taken out, and SO_PEEK_OFF is what it was afterwards. */
export function peekQueue(file: OpenFile, type: number): Queue | undefined {
  using room = new NativeBuffer(ROOM);
  const messages = type === SOCK.SOCK_STREAM ? peekStream(file.local, room) : peekMessages(file.local, room);
  if (messages.length === 0) return undefined;
  const blob = file.context.blob(`socket:${file.stat.inode}`, {
    bytes: Buffer.concat(messages.map(({ data }) => data)),
  });
  return { blob, messages: messages.map((message) => describe(file, type, message)) };
}

/** Messages as they stand in the queue of a datagram socket of any family. */
export function peekRaw(fd: LocalFd): ReceivedMessage[] {
  using room = new NativeBuffer(ROOM);
  return peekMessages(fd, room);
}

/** No two messages take less: each has a struct sk_buff and a struct skb_shared_info. */
const LEAST_OF_TWO = 1536;

/** Of sockets without SO_PEEK_OFF only the first message can be looked at; undefined when there may be more. */
export function peekOnly(fd: LocalFd): ReceivedMessage[] | undefined {
  using room = new NativeBuffer(ROOM);
  const first = peek(fd, room);
  if (!first) return [];
  const memory = getOption(fd, SOL.SOL_SOCKET, SO.SO_MEMINFO, 36)?.readUInt32LE(0) ?? LEAST_OF_TWO;
  return memory < LEAST_OF_TWO ? [first] : undefined;
}

function peekStream(fd: LocalFd, room: NativeBuffer): ReceivedMessage[] {
  // The length first: asking an empty stream would take a pending error away.
  const total = ioctlInt(fd, SIOCINQ) ?? 0;
  if (total === 0) return [];
  if (getInt(fd, SOL.SOL_SOCKET, SO.SO_PEEK_OFF) === -1) {
    const first = peek(fd, room);
    if (first?.data.length === total) return [first];
    if (first) closeRights(first);
  }
  const messages: ReceivedMessage[] = [];
  withPeekOffset(fd, () => {
    for (let seen = 0; seen < total;) {
      const message = peek(fd, room);
      if (!message || message.data.length === 0) break;
      messages.push(message);
      seen += message.data.length;
    }
  });
  return messages;
}

function peekMessages(fd: LocalFd, room: NativeBuffer): ReceivedMessage[] {
  const shut = (pollNow(fd, POLL.POLLRDHUP) & POLL.POLLRDHUP) !== 0;
  const total = ioctlInt(fd, SIOCINQ) ?? 0;
  const messages: ReceivedMessage[] = [];
  if (getInt(fd, SOL.SOL_SOCKET, SO.SO_PEEK_OFF) === -1) {
    const first = peek(fd, room);
    if (!first || (shut && total === 0 && isNothing(first))) return [];
    // An empty message is passed over when it has been looked at.
    if (isNothing(first)) messages.push(first);
    closeRights(first);
  }
  let seen = 0;
  withPeekOffset(fd, () => {
    for (let message = peek(fd, room); message; message = peek(fd, room)) {
      if (shut && seen >= total && isNothing(message)) break;
      messages.push(message);
      seen += message.data.length;
    }
  });
  return messages;
}

/** An empty message, or what a socket that is shut down answers as often as one asks. */
function isNothing(message: ReceivedMessage): boolean {
  return message.data.length === 0 && message.from.length === 0 && message.control.length === 0;
}

function peek(fd: LocalFd, room: NativeBuffer): ReceivedMessage | undefined {
  const message = receive(fd, room, MSG.MSG_PEEK | MSG.MSG_DONTWAIT);
  if (message === -ERRNO.EAGAIN) return undefined;
  if (typeof message === "number") throw new SyscallError("recvmsg", message, "Looking into a socket");
  if ((message.flags & (MSG.MSG_TRUNC | MSG.MSG_CTRUNC)) !== 0) throw new Defect("a message is larger than ever");
  return message;
}

/** With an offset, each look goes on where the last one stopped (socket(7), SO_PEEK_OFF). */
function withPeekOffset(fd: LocalFd, use: () => void): void {
  const before = getInt(fd, SOL.SOL_SOCKET, SO.SO_PEEK_OFF) ?? -1;
  setInt(fd, SOL.SOL_SOCKET, SO.SO_PEEK_OFF, 0, "Looking into a socket");
  try {
    use();
  } finally {
    setInt(fd, SOL.SOL_SOCKET, SO.SO_PEEK_OFF, before, "Looking into a socket");
  }
}

function rightsOf(message: ReceivedMessage, type: number): LocalFd[] {
  return message.control
    .filter((control) => control.level === SOL.SOL_SOCKET && control.type === type)
    .flatMap(({ data }) => Array.from({ length: data.length / 4 }, (_, i) => data.readInt32LE(i * 4) as LocalFd));
}

function closeRights(message: ReceivedMessage): void {
  for (const fd of [...rightsOf(message, SCM.SCM_RIGHTS), ...rightsOf(message, SCM.SCM_PIDFD)]) closeSync(fd);
}

function describe(file: OpenFile, type: number, message: ReceivedMessage): Queue["messages"][number] {
  const files = rightsOf(message, SCM.SCM_RIGHTS).map((fd) => file.context.addInFlight(fd, file));
  for (const fd of rightsOf(message, SCM.SCM_PIDFD)) closeSync(fd);
  const cred = message.control.find((control) => control.type === SCM.SCM_CREDENTIALS)?.data;
  if (cred) refuseForgotten(file, cred.readInt32LE(0));
  const from = type === SOCK.SOCK_DGRAM && message.from.length > 2 ? unixNameOf(message.from) : undefined;
  return {
    length: message.data.length,
    ...(from !== undefined && { from }),
    ...(files.length > 0 && { files }),
    ...(cred && { credentials: { pid: cred.readInt32LE(0), uid: cred.readUInt32LE(4), gid: cred.readUInt32LE(8) } }),
  };
}

/** Asked of the kernel: this thread may be where it does not see our /proc. */
function isThere(pid: number): boolean {
  return attempt("kill", pid, 0) !== -ERRNO.ESRCH;
}

/** What number a sender that has ended had in another pid namespace, nothing tells any more. */
function refuseForgotten(file: OpenFile, sender: number): void {
  if (isThere(sender) || namespaceOf(file.task, "pid") === namespaceOf("self", "pid")) return;
  throw failures.UNIX_SENDER_GONE({ file });
}

/** Sends a queue's messages again; `route` says through which of our sockets, and where to, for a sender's name. */
export function refillQueue(
  context: ThawContext,
  queue: Queue,
  route: (from: string | undefined) => { fd: LocalFd; to?: Buffer },
  bytes: Buffer = context.blob(queue.blob),
): void {
  let at = 0;
  for (const { length, from, files, credentials } of queue.messages) {
    const { fd, to } = route(from);
    const rights = files ? [rightsMessage(files.map((id) => context.file(id)))] : [];
    const data = bytes.subarray(at, at + length);
    at += length;
    const about = "Filling a socket";
    // Number 0 is who cannot be seen, or nobody.
    if (!credentials || credentials.pid === 0) {
      send(fd, data, rights, to, about);
      continue;
    }
    const { pid, uid, gid } = credentials;
    const speak = (): void => send(fd, data, [...rights, credentialsMessage(pid, uid, gid)], to, about);
    // A sender that has ended since must be there while it is spoken for.
    if (isThere(pid)) speak();
    else context.standIn(pid, pid, speak);
  }
}
