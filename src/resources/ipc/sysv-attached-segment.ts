/**
 * Shared memory of System V that processes have attached (shmat(2)). A segment of the machine's IPC namespace stays
 * where it is, as a file does; after a reboot, or when it went with its last attachment, it is made again. One of a
 * namespace of the set's own is made with that.
 */
import { closeSync } from "node:fs";
import type { Task } from "../../lib/brand.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import type { ProcPath } from "../../sys/mount-view.ts";
import { procPath } from "../../sys/task.ts";
import { attempt } from "../../sys/call.ts";
import { namespaceOf, openNamespace, within } from "../../sys/namespaces.ts";
import { IPC } from "../../abi/sysv.ts";
import type { NamespaceHandle } from "../namespace/handle.ts";
import { failures } from "../../errors/catalogue.ts";
import { parseMaps, type Mapping } from "../../proc/maps.ts";
import type { SysvLine } from "../../proc/sysvipc.ts";
import type { FreezeContext, FreezeProcess } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";
import { listSysv, TIMES_OF_SYSV } from "./sysv-common.ts";
import { freezeSegment, makeSegment, noteLast, segmentSchema, type SegmentState } from "./sysv-segments.ts";

const schema = v.strictObject({
  kind: v.literal("sysv-segment"),
  id: v.number(),
  size: v.number(),
  /** The set's own IPC namespace that it belongs to. */
  namespace: v.optional(v.string()),
  /** The segment itself, when it is one of the machine's. */
  segment: v.optional(segmentSchema),
});
type State = v.InferOutput<typeof schema>;

export interface SegmentHandle {
  readonly id: number;
  readonly size: number;
}

/** Ids of segments begin with it. */
export const SEGMENT_PREFIX = "sysv-shm:";

/** How /proc shows an attachment; its inode is the segment's id. */
export function isAttachment(mapping: Mapping): boolean {
  return /^\/SYSV[0-9a-f]{8} \(deleted\)$/.test(mapping.path);
}

/** Notes the segment as an object of the set and returns the object's id. */
export function segmentObject({ pid, task, command, context }: FreezeProcess, mapping: Mapping): string {
  const name = namespaceOf(task, "ipc") ?? "";
  const own = name !== namespaceOf("self", "ipc");
  return context.object(`${SEGMENT_PREFIX}${own ? name : "machine"}:${mapping.inode}`, () => {
    const namespace = openNamespace(task, "ipc");
    try {
      return within("ipc", namespace, () => {
        const line = listSysv("shm").find((candidate) => candidate.get("shmid") === mapping.inode);
        if (!line) throw failures.SYSV_SHM({ pid, command, start: mapping.start.toString(16), inode: mapping.inode });
        const size = line.get("size") ?? 0;
        const base = { kind: "sysv-segment" as const, id: mapping.inode, size };
        if (own) return { ...base, namespace: name };
        return { ...base, segment: freezeSegment(line, mapFile(task, mapping), context) };
      });
    } finally {
      closeSync(namespace);
    }
  });
}

function mapFile(task: Task, { start, end }: Mapping): ProcPath {
  return procPath(task, `map_files/${start.toString(16)}-${end.toString(16)}`);
}

/** Ways to the segments that the set has attached, by their ids, in the IPC namespace of this thread. */
export function attachments(context: FreezeContext): ReadonlyMap<number, ProcPath> {
  const here = namespaceOf("thread-self", "ipc");
  const found = new Map<number, ProcPath>();
  for (const task of context.tasks.values()) {
    if (namespaceOf(task, "ipc") !== here) continue;
    for (const mapping of parseMaps(readFileSync(procPath(task, "maps"), "utf8"))) {
      if (isAttachment(mapping) && !found.has(mapping.inode)) found.set(mapping.inode, mapFile(task, mapping));
    }
  }
  return found;
}

export const sysvSegment: ObjectKind<State, SegmentHandle, "sysv-segment"> = {
  name: "sysv-segment",
  schema,
  differs: [{ what: TIMES_OF_SYSV, met: ({ segment }) => segment !== undefined }],
  thaw({ id, size, namespace, segment }, context) {
    if (namespace !== undefined) context.object<NamespaceHandle>(namespace);
    else if (segment && findHere(segment)) noteLast(segment, context);
    else if (segment) {
      context.undo(`shared memory ${id}`, () => attempt("shmctl", id, IPC.IPC_RMID, 0));
      makeSegment(segment, context);
    }
    return { id, size };
  },
  check({ segment }) {
    if (!segment || findHere(segment)) return undefined;
    const taken = listSysv("shm").find(
      (line) => line.get("shmid") === segment.id || (segment.key !== 0 && line.get("key") === segment.key),
    );
    return (
      taken &&
      failures.SYSV_ID_TAKEN.segment({
        id: segment.id,
        key: segment.key,
        other: taken.get("shmid"),
        otherKey: taken.get("key"),
      })
    );
  },
};

/** The very segment, when it is still there. */
function findHere(segment: SegmentState): SysvLine | undefined {
  const same = { shmid: segment.id, key: segment.key, size: segment.size, cpid: segment.creator };
  return listSysv("shm").find((line) => Object.entries(same).every(([name, value]) => line.get(name) === value));
}
