/** Message queues of System V (msgget(2)) with their messages. */
import * as v from "valibot";
import { SyscallError, attempt, call, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { IPC, LARGEST_DS, MSG_COPY, MSG_QBYTES } from "../../abi/sysv.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { RemoteScope } from "../../tracee/scope.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import {
  commonFields,
  commonOf,
  EXCLUSIVE,
  makeWithId,
  memberHere,
  OURSELVES,
  setOwner,
  type Caller,
} from "./sysv-common.ts";

export const queueSchema = v.strictObject({
  ...commonFields,
  /** The most bytes that may stand in it. */
  limit: v.number(),
  /** The processes of the set that sent and received last (msg_lspid, msg_lrpid). */
  sender: v.optional(v.number()),
  receiver: v.optional(v.number()),
  /** Oldest first. */
  messages: v.array(v.strictObject({ type: v.string(), text: v.string() })),
});
export type QueueState = v.InferOutput<typeof queueSchema>;

export function freezeQueue(line: SysvLine, context: FreezeContext): QueueState {
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

export function thawQueue(made: QueueState, context: ThawContext): void {
  const { id, key, limit, messages } = made;
  const [sender, receiver] = [made.sender, made.receiver].map((pid) => new Postman(id, pid, context));
  if (!sender || !receiver) return;
  makeWithId("msg", made, OURSELVES, () => call("msgget", "Making a message queue", key, EXCLUSIVE | made.mode));
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
