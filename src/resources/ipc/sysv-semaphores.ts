/** Sets of semaphores of System V (semget(2), semctl(2)). What a process will undo at its end is no part of them. */
import * as v from "valibot";
import { SyscallError, attempt, call, withStruct } from "../../sys/call.ts";
import { IPC, SEM } from "../../abi/sysv.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import {
  callerFor,
  commonFields,
  commonOf,
  EXCLUSIVE,
  makeWithId,
  memberHere,
  OURSELVES,
  setOwner,
  type Caller,
} from "./sysv-common.ts";

export const semaphoresSchema = v.strictObject({
  ...commonFields,
  values: v.array(v.number()),
  /** The process of the set that changed each one last (GETPID of semctl(2)); 0 for others. */
  pids: v.optional(v.array(v.number())),
});
export type SemaphoresState = v.InferOutput<typeof semaphoresSchema>;

/** The values of a set, in the IPC namespace of this thread. */
export function readSemaphores(id: number, count: number): number[] {
  return withStruct(count * 2, (bytes, address) => {
    call("semctl", "Reading semaphores", id, 0, SEM.GETALL, address);
    return Array.from({ length: count }, (_, i) => bytes.readUInt16LE(i * 2));
  });
}

export function freezeSemaphores(line: SysvLine, context: FreezeContext): SemaphoresState {
  const base = commonOf(line, "semid");
  const values = readSemaphores(base.id, line.get("nsems") ?? 0);
  const pids = values.map((_, i) => memberHere(attempt("semctl", base.id, i, SEM.GETPID, 0), context) ?? 0);
  return { ...base, values, ...(pids.some((pid) => pid !== 0) && { pids }) };
}

export function thawSemaphores(set: SemaphoresState, context: ThawContext): void {
  const { id, key, values, pids = [] } = set;
  makeWithId("sem", set, OURSELVES, () =>
    call("semget", "Making semaphores", key, values.length, EXCLUSIVE | set.mode),
  );
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
