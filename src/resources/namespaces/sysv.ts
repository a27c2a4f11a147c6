/**
 * What stands in an IPC namespace of System V's kinds (sysvipc(7)): semaphores, message queues with their messages,
 * shared memory. All of it is the namespace's and no process's. This thread must be inside.
 */
import { closeSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import * as v from "valibot";
import { attempt, call, SyscallError, withStruct } from "../../abi/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import type { BlobSource } from "../contract.ts";

const common = { key: v.number(), id: v.number(), mode: v.number(), uid: v.number(), gid: v.number() };
const semaphores = v.strictObject({ ...common, values: v.array(v.number()) });
const queue = v.strictObject({
  ...common,
  /** The most bytes that may stand in it. */
  limit: v.number(),
  /** Oldest first. */
  messages: v.array(v.strictObject({ type: v.string(), text: v.string() })),
});
const segment = v.strictObject({ ...common, size: v.number(), contents: v.string() });
export const sysvSchema = v.strictObject({
  semaphores: v.array(semaphores),
  queues: v.array(queue),
  segments: v.array(segment),
});
export type SysvState = v.InferOutput<typeof sysvSchema>;
type Common = Pick<SysvState["segments"][number], keyof typeof common>;

/** include/uapi/linux/{ipc,sem,msg,shm}.h */
const IPC_CREAT = 0o1000;
const IPC_EXCL = 0o2000;
const IPC_NOWAIT = 0o4000;
const IPC_SET = 1;
const IPC_STAT = 2;
const GETALL = 13;
const SETALL = 17;
const MSG_COPY = 0o40000;
const SHM_RDONLY = 0o10000;
/** Marked for removal, and locked: both stand among the permissions that /proc shows. */
const SHM_DEST = 0o1000;
const SHM_LOCKED = 0o2000;
const PERMISSIONS = 0o777;
/** Where struct msqid64_ds has msg_qbytes. */
const MSG_QBYTES = 88;
const LARGEST_DS = 128;

type Line = ReadonlyMap<string, number>;

function list(sort: "sem" | "msg" | "shm"): Line[] {
  const [head = "", ...lines] = readFileSync(`/proc/sysvipc/${sort}`, "utf8").trim().split("\n");
  const names = head.trim().split(/\s+/);
  return lines.map((line) => {
    const values = line.trim().split(/\s+/);
    // Permissions are octal.
    return new Map(
      names.map((name, i) => [name, name === "perms" ? Number.parseInt(values[i] ?? "", 8) : Number(values[i])]),
    );
  });
}

function commonOf(line: Line, id: string): Common {
  const at = (name: string): number => line.get(name) ?? 0;
  return { key: at("key"), id: at(id), mode: at("perms") & PERMISSIONS, uid: at("uid"), gid: at("gid") };
}

export function freezeSysv(blob: (name: string, source: BlobSource) => string): SysvState {
  return {
    semaphores: list("sem").map((line) => ({ ...commonOf(line, "semid"), values: readValues(line) })),
    queues: list("msg").map((line) => readQueue(commonOf(line, "msqid"))),
    segments: list("shm").map((line) => {
      const base = commonOf(line, "shmid");
      const size = line.get("size") ?? 0;
      return {
        ...base,
        size,
        contents: blob(`shm:${base.id}`, { bytes: atSegment(base.id, SHM_RDONLY, (at) => readOwn(at, size)) }),
      };
    }),
  };
}

/** What cannot be made again, in words. */
export function strangeSysv(): string[] {
  const strange = (line: Line): boolean => ((line.get("perms") ?? 0) & (SHM_DEST | SHM_LOCKED)) !== 0;
  const made = (line: Line): boolean => line.get("cuid") !== 0 || line.get("cgid") !== 0;
  return [
    ...list("shm")
      .filter(strange)
      .map((line) => `shared memory ${line.get("shmid")} that is removed or locked`),
    ...(["sem", "msg", "shm"] as const).flatMap((sort) =>
      list(sort)
        .filter(made)
        .map((line) => `${sort} ${line.get("key")}, made by user ${line.get("cuid")}`),
    ),
  ];
}

function readValues(line: Line): number[] {
  const count = line.get("nsems") ?? 0;
  return withStruct(count * 2, (bytes, address) => {
    call("semctl", "Reading semaphores", line.get("semid") ?? 0, 0, GETALL, address);
    return Array.from({ length: count }, (_, i) => bytes.readUInt16LE(i * 2));
  });
}

function readQueue(base: Common): SysvState["queues"][number] {
  const limit = withStruct(LARGEST_DS, (bytes, address) => {
    call("msgctl", "Reading a message queue", base.id, IPC_STAT, address);
    return Number(bytes.readBigUInt64LE(MSG_QBYTES));
  });
  const messages: SysvState["queues"][number]["messages"] = [];
  for (;;) {
    const size = Math.max(limit, 65536);
    // MSG_COPY leaves the message where it is; its place stands where the type would.
    const found = withStruct(8 + size, (bytes, address) => {
      const got = attempt("msgrcv", base.id, address, size, messages.length, MSG_COPY | IPC_NOWAIT);
      if (got === -ERRNO.ENOMSG) return undefined;
      if (got < 0) throw new SyscallError("msgrcv", got, "Reading a message queue");
      return { type: String(bytes.readBigInt64LE(0)), text: bytes.subarray(8, 8 + got).toString("base64") };
    });
    if (!found) return { ...base, limit, messages };
    messages.push(found);
  }
}

function atSegment<T>(id: number, flags: number, use: (address: number) => T): T {
  const address = call("shmat", "Attaching shared memory", id, 0, flags);
  try {
    return use(address);
  } finally {
    call("shmdt", "Detaching shared memory", address);
  }
}

/** Our own memory by its address. */
function readOwn(address: number, size: number): Buffer {
  const memory = openSync("/proc/self/mem", "r");
  try {
    const bytes = Buffer.alloc(size);
    for (let done = 0; done < size;) done += readSync(memory, bytes, done, size - done, address + done);
    return bytes;
  } finally {
    closeSync(memory);
  }
}

function writeOwn(address: number, bytes: Buffer): void {
  const memory = openSync("/proc/self/mem", "r+");
  try {
    for (let done = 0; done < bytes.length;)
      done += writeSync(memory, bytes, done, bytes.length - done, address + done);
  } finally {
    closeSync(memory);
  }
}

export function thawSysv(state: SysvState, blob: (name: string) => Buffer): void {
  const flags = (mode: number): number => IPC_CREAT | IPC_EXCL | mode;
  for (const set of state.semaphores) {
    wantId("sem", set.id);
    checkId(call("semget", "Making semaphores", set.key, set.values.length, flags(set.mode)), set.id);
    withStruct(set.values.length * 2, (bytes, address) => {
      set.values.forEach((value, i) => bytes.writeUInt16LE(value, i * 2));
      call("semctl", "Setting semaphores", set.id, 0, SETALL, address);
    });
    own(set, (address) => call("semctl", "Owning semaphores", set.id, 0, IPC_SET, address));
  }
  for (const made of state.queues) {
    wantId("msg", made.id);
    checkId(call("msgget", "Making a message queue", made.key, flags(made.mode)), made.id);
    const set = (address: number): number => call("msgctl", "Owning a message queue", made.id, IPC_SET, address);
    own(made, set, made.limit);
    for (const { type, text } of made.messages) send(made.id, BigInt(type), Buffer.from(text, "base64"));
  }
  for (const made of state.segments) {
    wantId("shm", made.id);
    checkId(call("shmget", "Making shared memory", made.key, made.size, flags(made.mode)), made.id);
    atSegment(made.id, 0, (address) => writeOwn(address, blob(made.contents)));
    own(made, (address) => call("shmctl", "Owning shared memory", made.id, IPC_SET, address));
  }
}

/** Whoever asks for an id gets it, once (CONFIG_CHECKPOINT_RESTORE). */
function wantId(sort: "sem" | "msg" | "shm", id: number): void {
  writeFileSync(`/proc/sys/kernel/${sort}_next_id`, String(id));
}

function checkId(got: number, wanted: number): void {
  if (got !== wanted) throw new RangeError(`the kernel gave the id ${got} instead of ${wanted}`);
}

function own({ uid, gid, mode }: Common, set: (address: number) => void, limit = 0): void {
  withStruct(LARGEST_DS, (bytes, address) => {
    bytes.writeUInt32LE(uid, 4);
    bytes.writeUInt32LE(gid, 8);
    bytes.writeUInt32LE(mode, 20);
    if (limit > 0) bytes.writeBigUInt64LE(BigInt(limit), MSG_QBYTES);
    set(address);
  });
}

function send(id: number, type: bigint, text: Buffer): void {
  withStruct(8 + text.length, (bytes, address) => {
    bytes.writeBigInt64LE(type, 0);
    text.copy(bytes, 8);
    call("msgsnd", "Filling a message queue", id, address, text.length, IPC_NOWAIT);
  });
}
