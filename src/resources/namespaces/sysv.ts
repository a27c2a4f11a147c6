/**
 * What stands in an IPC namespace of System V's kinds (sysvipc(7)): semaphores, message queues with their messages,
 * shared memory. All of it is the namespace's and no process's. This thread must be inside.
 */
import * as v from "valibot";
import { attempt, call, SyscallError, withStruct } from "../../abi/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { IPC, LARGEST_DS, MSG_COPY, MSG_QBYTES, SEM } from "../../abi/sysv.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { RemoteScope } from "../../tracee/scope.ts";
import type { FreezeContext, ThawContext } from "../contract.ts";
import { attachments } from "../objects/sysv-segment.ts";
import {
  callerFor,
  commonFields,
  commonOf,
  listSysv,
  makeWithId,
  memberHere,
  OURSELVES,
  setOwner,
  type Caller,
  type SysvCommon,
} from "./sysv-common.ts";
import { freezeSegment, makeSegment, segmentSchema } from "./sysv-segments.ts";

const semaphores = v.strictObject({
  ...commonFields,
  values: v.array(v.number()),
  /** The process of the set that changed each one last (GETPID of semctl(2)); 0 for others. */
  pids: v.optional(v.array(v.number())),
});
const queue = v.strictObject({
  ...commonFields,
  /** The most bytes that may stand in it. */
  limit: v.number(),
  /** The processes of the set that sent and received last (msg_lspid, msg_lrpid). */
  sender: v.optional(v.number()),
  receiver: v.optional(v.number()),
  /** Oldest first. */
  messages: v.array(v.strictObject({ type: v.string(), text: v.string() })),
});
export const sysvSchema = v.strictObject({
  semaphores: v.array(semaphores),
  queues: v.array(queue),
  segments: v.array(segmentSchema),
});
export type SysvState = v.InferOutput<typeof sysvSchema>;
type SemaphoreState = SysvState["semaphores"][number];
type QueueState = SysvState["queues"][number];

export function freezeSysv(context: FreezeContext): SysvState {
  const attached = attachments(context);
  return {
    semaphores: listSysv("sem").map((line) => freezeSemaphores(line, context)),
    queues: listSysv("msg").map((line) => freezeQueue(line, context)),
    segments: listSysv("shm").map((line) => freezeSegment(line, attached.get(line.get("shmid") ?? -1), context)),
  };
}

function freezeSemaphores(line: SysvLine, context: FreezeContext): SemaphoreState {
  const base = commonOf(line, "semid");
  const count = line.get("nsems") ?? 0;
  const values = withStruct(count * 2, (bytes, address) => {
    call("semctl", "Reading semaphores", base.id, 0, SEM.GETALL, address);
    return Array.from({ length: count }, (_, i) => bytes.readUInt16LE(i * 2));
  });
  const pids = values.map((_, i) => memberHere(attempt("semctl", base.id, i, SEM.GETPID, 0), context) ?? 0);
  return { ...base, values, ...(pids.some((pid) => pid !== 0) && { pids }) };
}

function freezeQueue(line: SysvLine, context: FreezeContext): QueueState {
  const base = commonOf(line, "msqid");
  const [sender, receiver] = ["lspid", "lrpid"].map((name) => memberHere(line.get(name) ?? 0, context));
  const limit = withStruct(LARGEST_DS, (bytes, address) => {
    call("msgctl", "Reading a message queue", base.id, IPC.IPC_STAT, address);
    return Number(bytes.readBigUInt64LE(MSG_QBYTES));
  });
  const messages: QueueState["messages"] = [];
  const size = Math.max(limit, 65536);
  for (;;) {
    // MSG_COPY leaves the message where it is; its place stands where the type would.
    const found = withStruct(8 + size, (bytes, address) => {
      const got = attempt("msgrcv", base.id, address, size, messages.length, MSG_COPY | IPC.IPC_NOWAIT);
      if (got === -ERRNO.ENOMSG) return undefined;
      if (got < 0) throw new SyscallError("msgrcv", got, "Reading a message queue");
      return { type: String(bytes.readBigInt64LE(0)), text: bytes.subarray(8, 8 + got).toString("base64") };
    });
    if (!found) break;
    messages.push(found);
  }
  return { ...base, limit, ...(sender && { sender }), ...(receiver && { receiver }), messages };
}

/** Makes everything; the processes that use it must be inside already where the kernel is to note their ids. */
export function thawSysv(state: SysvState, context: ThawContext): void {
  for (const set of state.semaphores) thawSemaphores(set, context);
  for (const made of state.queues) thawQueue(made, context);
  for (const segment of state.segments) makeSegment(segment, context);
}

function exclusive({ mode }: SysvCommon): number {
  return IPC.IPC_CREAT | IPC.IPC_EXCL | mode;
}

function thawSemaphores(set: SemaphoreState, context: ThawContext): void {
  const { id, key, values, pids = [] } = set;
  makeWithId("sem", set, OURSELVES, () => call("semget", "Making semaphores", key, values.length, exclusive(set)));
  // One by one: setting all at once would make us the one who changed those that nobody has touched.
  values.forEach((value, i) => {
    const pid = pids[i] || undefined;
    if (value !== 0 || pid !== undefined) setValue(callerFor(pid, context), id, i, value);
  });
  setOwner(set, (address) => call("semctl", "Owning semaphores", id, 0, IPC.IPC_SET, address));
}

function setValue(caller: Caller, id: number, index: number, value: number): void {
  const result = caller.attempt("semctl", id, index, SEM.SETVAL, value);
  if (result < 0) throw new SyscallError("semctl", result, "Setting a semaphore");
}

function thawQueue(made: QueueState, context: ThawContext): void {
  const { id, key, limit, messages } = made;
  const [sender, receiver] = [made.sender, made.receiver].map((pid) => new Postman(id, pid, context));
  if (!sender || !receiver) return;
  makeWithId("msg", made, OURSELVES, () => call("msgget", "Making a message queue", key, exclusive(made)));
  // One that comes and goes at once leaves nothing but the ids of both sides.
  if (made.receiver !== undefined || (made.sender !== undefined && messages.length === 0)) {
    sender.send(1n, Buffer.alloc(1));
    receiver.receive();
  }
  setOwner(made, (address) => call("msgctl", "Owning a message queue", id, IPC.IPC_SET, address), limit);
  messages.forEach(({ type, text }, i) => {
    const bytes = Buffer.from(text, "base64");
    const by =
      i === messages.length - 1 && bytes.length <= LONGEST_REMOTE ? sender : new Postman(id, undefined, context);
    by.send(BigInt(type), bytes);
  });
}

/** A text that fits into what a process under construction lends for one call. */
const LONGEST_REMOTE = 4000;

/** Sends and receives as a process of the set where it is there, else as ourselves. */
class Postman {
  readonly #id: number;
  readonly #scope: RemoteScope | undefined;

  constructor(id: number, pid: number | undefined, context: ThawContext) {
    this.#id = id;
    this.#scope = pid === undefined ? undefined : context.process(pid)?.scope;
  }

  send(type: bigint, text: Buffer): void {
    const message = Buffer.alloc(8 + text.length);
    message.writeBigInt64LE(type);
    text.copy(message, 8);
    this.#with(message, (caller, address) => {
      const result = caller.attempt("msgsnd", this.#id, address, text.length, IPC.IPC_NOWAIT);
      if (result < 0) throw new SyscallError("msgsnd", result, "Filling a message queue");
    });
  }

  receive(): void {
    this.#with(Buffer.alloc(16), (caller, address) => {
      const result = caller.attempt("msgrcv", this.#id, address, 1, 0, IPC.IPC_NOWAIT);
      if (result < 0) throw new SyscallError("msgrcv", result, "Emptying a message queue");
    });
  }

  #with(bytes: Buffer, use: (caller: Caller, address: number) => void): void {
    if (this.#scope) return use(this.#scope, this.#scope.put(bytes));
    withStruct(bytes.length, (room, address) => {
      bytes.copy(room);
      use(OURSELVES, address);
    });
  }
}
