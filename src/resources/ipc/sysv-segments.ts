/** Shared memory of System V (shmget(2), shmctl(2)): the segments, whoever has them attached. */
import * as v from "valibot";
import type { ProcPath } from "../../sys/mount-view.ts";
import { SyscallError, attempt, call } from "../../sys/call.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import { IPC, SHM } from "../../abi/sysv.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { fillMemory, hugePageOf, hugeSizeFlag } from "../file/hugetlb-file.ts";
import { findMapFile } from "../memory/mapped-file.ts";
import { forRootOnly } from "../file/readable.ts";
import { openPath } from "../file/path-file.ts";
import { callerFor, commonFields, commonOf, makeWithId, memberHere, setOwner } from "./sysv-common.ts";

export const segmentSchema = v.strictObject({
  ...commonFields,
  size: v.number(),
  /** The process that made it (shm_cpid), and whether it is one of the set. */
  creator: v.number(),
  creatorInSet: v.optional(v.literal(true)),
  /** The process of the set that attached or detached it last (shm_lpid). */
  last: v.optional(v.number()),
  /** Marked for removal: it goes with its last attachment. */
  removed: v.optional(v.literal(true)),
  /** SHM_LOCK of shmctl(2). */
  locked: v.optional(v.literal(true)),
  /** The size of its huge pages (SHM_HUGETLB). */
  hugePage: v.optional(v.number()),
  contents: v.string(),
});
export type SegmentState = v.InferOutput<typeof segmentSchema>;

/**
 * Looks at a segment of the IPC namespace that this thread is in. `via` is a way to an attachment of it: attaching it
 * ourselves would be noted in it.
 */
export function freezeSegment(line: SysvLine, via: ProcPath | undefined, context: FreezeContext): SegmentState {
  const base = commonOf(line, "shmid");
  const perms = line.get("perms") ?? 0;
  const creator = line.get("cpid") ?? 0;
  const last = memberHere(line.get("lpid") ?? 0, context);
  const fd = forRootOnly(context, via === undefined ? openUnattached(base.id) : openPath(via, 0));
  context.keep(fd);
  const hugePage = hugePageOf(`/proc/self/fd/${fd}`);
  return {
    ...base,
    size: line.get("size") ?? 0,
    creator,
    ...(memberHere(creator, context) !== undefined && { creatorInSet: true }),
    ...(last !== undefined && { last }),
    ...((perms & SHM.SHM_DEST) !== 0 && { removed: true }),
    ...((perms & SHM.SHM_LOCKED) !== 0 && { locked: true }),
    ...(hugePage !== undefined && { hugePage }),
    contents: context.blob(`shm:${namespaceOf("thread-self", "ipc")}:${base.id}`, { fd }),
  };
}

function openUnattached(id: number): LocalFd {
  const address = call("shmat", "Attaching shared memory", id, 0, SHM.SHM_RDONLY);
  try {
    return openPath(findMapFile(address), 0);
  } finally {
    call("shmdt", "Detaching shared memory", address);
  }
}

/** Makes the segment in the IPC namespace that this thread and its maker are in, and fills it. */
export function makeSegment(state: SegmentState, context: ThawContext): void {
  const { id, key, size, mode, hugePage } = state;
  const caller = callerFor(state.creatorInSet ? state.creator : undefined, context);
  const huge = hugePage === undefined ? 0 : SHM.SHM_HUGETLB | hugeSizeFlag(hugePage);
  makeWithId("shm", state, caller, () => {
    const wanted = state.removed ? IPC.IPC_PRIVATE : key;
    const got = caller.attempt("shmget", wanted, size, IPC.IPC_CREAT | IPC.IPC_EXCL | mode | huge);
    if (got < 0) throw new SyscallError("shmget", got, `Making ${size} bytes of shared memory with the id ${id}`);
    return got;
  });
  const address = call("shmat", "Attaching shared memory", id, 0, 0);
  let attached = true;
  const detach = (): void => {
    if (attached) attempt("shmdt", address);
    attached = false;
  };
  try {
    using contents = context.openBlob(state.contents);
    fillMemory(contents, address, size);
    setOwner(state, (at) => call("shmctl", "Owning shared memory", id, IPC.IPC_SET, at));
    if (state.locked) call("shmctl", "Locking shared memory", id, SHM.SHM_LOCK, 0);
    if (state.removed) {
      // What is marked for removal lives only as long as it is attached: by us, until the processes have done so.
      call("shmctl", "Removing shared memory", id, IPC.IPC_RMID, 0);
      context.undo(`attachment of shared memory ${id}`, detach);
      context.during("release", detach);
    }
  } finally {
    if (!state.removed) detach();
  }
  noteLast(state, context);
}

/** Has the process that used the segment last do so once more, when all have attached it. */
export function noteLast({ id, last }: SegmentState, context: ThawContext): void {
  const scope = last === undefined ? undefined : context.process(last)?.scope;
  if (!scope) return;
  context.during("release", () => {
    const address = scope.call("shmat", "Attaching shared memory", id, 0, SHM.SHM_RDONLY);
    scope.call("shmdt", "Detaching shared memory", address);
  });
}
