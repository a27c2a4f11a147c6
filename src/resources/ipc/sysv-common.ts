/** What the kinds of System V's objects (sysvipc(7)) have in common: owners, and ids that are asked for. */
import * as v from "valibot";
import { readFileSync, writeFileSync } from "../../sys/files.ts";
import { attempt, withStruct } from "../../sys/call.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import type { SyscallName } from "../../abi/syscalls.x86_64.ts";
import { IPC, IPC_PERMISSIONS, LARGEST_DS, MSG_QBYTES, PERM } from "../../abi/sysv.ts";
import { parseSysv, type SysvLine } from "../../proc/sysvipc.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

export type SysvSort = "sem" | "msg" | "shm";

export const commonFields = {
  key: v.number(),
  id: v.number(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** Who made it. */
  cuid: v.number(),
  cgid: v.number(),
};
const commonSchema = v.object(commonFields);
export type SysvCommon = v.InferOutput<typeof commonSchema>;

/** What stands in the IPC namespace of this thread. */
export function listSysv(sort: SysvSort): SysvLine[] {
  return parseSysv(readFileSync(`/proc/sysvipc/${sort}`, "utf8"));
}

export function commonOf(line: SysvLine, id: string): SysvCommon {
  const at = (name: string): number => line.get(name) ?? 0;
  return {
    key: at("key"),
    id: at(id),
    mode: at("perms") & IPC_PERMISSIONS,
    uid: at("uid"),
    gid: at("gid"),
    cuid: at("cuid"),
    cgid: at("cgid"),
  };
}

/** Who makes a call: this thread, or a process under construction, whose id the kernel then notes. */
export interface Caller {
  attempt(name: SyscallName, ...args: number[]): number;
}
export const OURSELVES: Caller = { attempt };

/** Those of an object that a thaw makes again; one that has gone on living keeps them. */
export const TIMES_OF_SYSV =
  "the times that shmctl(2), semctl(2) and msgctl(2) show, of System V objects that are made again";

/** The process of the set with this id, if it lives in the IPC namespace of this thread. */
export function memberHere(pid: number, context: FreezeContext): number | undefined {
  const task = context.tasks.get(pid);
  return task !== undefined && namespaceOf(task, "ipc") === namespaceOf("thread-self", "ipc") ? pid : undefined;
}

/** The one who shall make a call: a member of the set where the image names one. */
export function callerFor(pid: number | undefined, context: ThawContext): Caller {
  return (pid === undefined ? undefined : context.process(pid)?.scope) ?? OURSELVES;
}

/** Flags that make a new object or nothing; permissions are added. */
export const EXCLUSIVE = IPC.IPC_CREAT | IPC.IPC_EXCL;

/** Makes an object with the id that it had: whoever asks for an id gets it, once (CONFIG_CHECKPOINT_RESTORE). */
export function makeWithId(sort: SysvSort, { id, cuid, cgid }: SysvCommon, caller: Caller, make: () => number): void {
  writeFileSync(`/proc/sys/kernel/${sort}_next_id`, String(id));
  const got = asUser(caller, cuid, cgid, make);
  if (got !== id) throw new InconsistentImage(`the kernel gave the ${sort} id ${got} instead of ${id}`);
}

/** The kernel notes the effective ids of the maker. */
function asUser(caller: Caller, uid: number, gid: number, make: () => number): number {
  const [ownUid, ownGid] = [caller.attempt("geteuid"), caller.attempt("getegid")];
  if (uid === ownUid && gid === ownGid) return make();
  caller.attempt("setresgid", -1, gid, -1);
  caller.attempt("setresuid", -1, uid, -1);
  try {
    return make();
  } finally {
    caller.attempt("setresuid", -1, ownUid, -1);
    caller.attempt("setresgid", -1, ownGid, -1);
  }
}

/** IPC_SET with the owner and permissions of the object, and with the limit of a message queue. */
export function setOwner({ uid, gid, mode }: SysvCommon, set: (address: number) => void, limit = 0): void {
  withStruct(LARGEST_DS, (bytes, address) => {
    bytes.writeUInt32LE(uid, PERM.UID);
    bytes.writeUInt32LE(gid, PERM.GID);
    bytes.writeUInt32LE(mode, PERM.MODE);
    if (limit > 0) bytes.writeBigUInt64LE(BigInt(limit), MSG_QBYTES);
    set(address);
  });
}
