/** The mappings of an address space (mmap(2)): where, with what protection, backed by what. */
import { closeSync } from "node:fs";
import * as v from "valibot";
import type { ProcPath } from "../../sys/mount-view.ts";
import { procPath } from "../../sys/task.ts";
import { attempt } from "../../sys/call.ts";
import { F, F_SEAL } from "../../abi/fcntl.ts";
import { IORING_OFF } from "../../abi/io-uring.ts";
import { ADVICE_BY_VMFLAG } from "../../abi/mman.ts";
import { stat } from "../../sys/stat.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { hex, hexSchema } from "../../lib/hex.ts";
import { formatMapDevice, type Mapping } from "../../proc/maps.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import { aioObject, isAioRing } from "../async-io/aio.ts";
import { contentsObject } from "../file/contents.ts";
import { hugePageOf } from "../file/hugetlb-file.ts";
import { isRing, refuseRing, ringId } from "../async-io/io-uring.ts";
import { openPath } from "../file/path-file.ts";
import { freezePacketRing, isPacketRing } from "../socket/packet-ring.ts";
import { isAttachment, segmentObject } from "../ipc/sysv-attached-segment.ts";
import { Pagemap, type PageRuns } from "./pages.ts";

const mappingSchema = v.strictObject({
  start: hexSchema,
  end: hexSchema,
  /** Letters among r, w, x. */
  prot: v.pipe(v.string(), v.regex(/^r?w?x?$/)),
  shared: v.boolean(),
  growsDown: v.optional(v.boolean()),
  noReserve: v.optional(v.boolean()),
  /** The size of the reserved huge pages that it consists of (MAP_HUGETLB). */
  hugePage: v.optional(v.number()),
  /** MAP_DROPPABLE: the kernel may take the contents away at any time, so they are not kept. */
  droppable: v.optional(v.boolean()),
  /** Nothing but its contents may be changed any more (mseal(2), Linux 6.10). */
  sealed: v.optional(v.literal(true)),
  /** Private memory that is not writable, but counts as if it were: it was writable once (VmFlags `ac`). */
  accounted: v.optional(v.boolean()),
  locked: v.optional(v.picklist(["now", "on-fault"])),
  advice: v.optional(v.array(v.picklist(Object.values(ADVICE_BY_VMFLAG)))),
  /** The name that prctl(PR_SET_VMA_ANON_NAME) gave. */
  name: v.optional(v.string()),
  /** What stands behind it; absent for private anonymous memory. */
  backing: v.optional(v.strictObject({ object: v.string(), offset: v.number(), writable: v.boolean() })),
  /** Pages whose contents are in the core file: first page, counted from the start of the mapping, and count. */
  pages: v.array(v.tuple([v.number(), v.number()])),
  /** Those of them that another process has too, as fork(2) leaves them: first page, count, and that process. */
  cowShared: v.optional(v.array(v.tuple([v.number(), v.number(), v.number()]))),
  /** The memory protection key that guards it (pkeys(7)), when it is not key 0. */
  protectionKey: v.optional(v.number()),
  /** Guard regions (madvise(2), MADV_GUARD_INSTALL): first page and count. */
  guardRegions: v.optional(v.array(v.tuple([v.number(), v.number()]))),
});
export type MappingState = v.InferOutput<typeof mappingSchema>;

export const mappingsSchema = v.array(mappingSchema);

/** Mappings that the kernel makes by itself and that `vdso.x86_64.ts` looks after. */
const KERNEL_OWNED = new Set(["[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"]);

export function isKernelOwned(mapping: Mapping): boolean {
  return KERNEL_OWNED.has(mapping.path);
}

/** Looks at every mapping and which of its pages are to be kept. */
export function freezeMappings(process: FreezeProcess): MappingState[] {
  using pagemap = new Pagemap(process.task);
  const states: MappingState[] = [];
  for (const mapping of process.mappings) {
    if (isKernelOwned(mapping)) continue;
    try {
      states.push(freezeMapping(process, mapping, pagemap));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      process.context.refuse(error);
    }
  }
  return states;
}

function freezeMapping(process: FreezeProcess, mapping: Mapping, pagemap: Pagemap): MappingState {
  refuseSpecial(process, mapping);
  const flags = new Set(mapping.flags);
  const advice = mapping.flags.flatMap((flag) => ADVICE_BY_VMFLAG[flag] ?? []);
  const droppable = flags.has("dp");
  const pages: PageRuns = mapping.shared || droppable ? [] : pagemap.ownPages(mapping.start, mapping.end);
  const guards = mapping.shared ? [] : pagemap.guardPages(mapping.start, mapping.end);
  const charged = flags.has("ac") && !mapping.shared && !mapping.prot.includes("w");
  const name = /^\[anon(?:_shmem)?:(.*)\]$/.exec(mapping.path)?.[1];
  return {
    start: hex(mapping.start),
    end: hex(mapping.end),
    prot: mapping.prot,
    shared: mapping.shared,
    ...(flags.has("gd") && { growsDown: true }),
    ...(flags.has("nr") && { noReserve: true }),
    ...(flags.has("ht") && { hugePage: hugePageOf(mapFile(process, mapping)) }),
    ...(droppable && { droppable }),
    ...(flags.has("sl") && { sealed: true as const }),
    ...(charged && { accounted: charged }),
    ...(flags.has("lo") && { locked: flags.has("lf") ? ("on-fault" as const) : ("now" as const) }),
    ...(advice.length > 0 && { advice: advice as MappingState["advice"] }),
    ...(name !== undefined && { name }),
    ...(isBacked(mapping) && { backing: freezeBacking(process, mapping) }),
    pages: pages.map(([first, count]) => [first, count]),
    ...(mapping.protectionKey && { protectionKey: mapping.protectionKey }),
    ...(guards.length > 0 && { guardRegions: guards.map(([first, count]): [number, number] => [first, count]) }),
  };
}

function freezeBacking(process: FreezeProcess, mapping: Mapping): NonNullable<MappingState["backing"]> {
  if (isPacketRing(mapping)) {
    return { object: freezePacketRing(process, mapping), offset: mapping.offset, writable: true };
  }
  if (isAioRing(mapping)) return { object: aioObject(process, mapping), offset: 0, writable: true };
  if (isRing({ link: mapping.path })) {
    if (!Object.values<number>(IORING_OFF).includes(mapping.offset))
      refuseRing(process, `The mapping at ${hex(mapping.start)} shows buffers that are registered with a ring`);
    return { object: ringId(formatMapDevice(mapping.device), mapping.inode), offset: mapping.offset, writable: true };
  }
  const writable = mapping.shared && mapping.flags.includes("mw");
  if (isAttachment(mapping)) return { object: segmentObject(process, mapping), offset: mapping.offset, writable };
  const via = mapFile(process, mapping);
  const object = contentsObject(process.context, {
    via,
    link: mapping.path,
    stat: stat(via),
    pid: process.pid,
    task: process.task,
    command: process.command,
    sharedWritable: writable,
    mappedToRead: mapping.shared && mapping.flags.includes("mr"),
    sharedAnonymous: mapping.shared && /^\/(dev\/zero|anon_hugepage) \(deleted\)$|^\[anon_shmem:/.test(mapping.path),
  });
  return { object, offset: mapping.offset, writable: writable || isSealedReader(mapping, via) };
}

function mapFile({ task }: FreezeProcess, { start, end }: Mapping): ProcPath {
  return procPath(task, `map_files/${start.toString(16)}-${end.toString(16)}`);
}

/**
 * A file that was opened for writing, in a mapping that may not write: the kernel takes that right away while it maps
 * a sealed memfd (Linux 6.7), and will do so again where the seal is there before the mapping.
 */
function isSealedReader({ shared, flags }: Mapping, via: ProcPath): boolean {
  if (!shared || !flags.includes("sh") || flags.includes("mw")) return false;
  const fd = openPath(via, 0);
  try {
    return (attempt("fcntl", fd, F.F_GET_SEALS, 0) & F_SEAL.F_SEAL_WRITE) !== 0;
  } finally {
    closeSync(fd);
  }
}

/**
 * Private huge pages without a file show the one that the kernel made for itself; the first shared memory of System V
 * has the id 0.
 */
function isBacked(mapping: Mapping): boolean {
  if (!mapping.shared && mapping.path === "/anon_hugepage (deleted)") return false;
  return mapping.inode !== 0 || isAttachment(mapping);
}

function refuseSpecial(process: FreezeProcess, mapping: Mapping): void {
  const { start, path, flags } = mapping;
  const where = { process, start: hex(start), path: path || "anonymous" };
  if (flags.includes("um") || flags.includes("uw")) throw failures.USERFAULTFD.mapping(where);
  if (flags.includes("ss")) throw failures.SHADOW_STACK(where);
  if (path.startsWith("anon_inode:") && !isRing({ link: path })) throw failures.ANON_INODE_MAPPING(where);
  if (flags.includes("pf") || flags.includes("io")) throw failures.DEVICE_MAPPING(where);
}
