/** Making the mappings of a process again: shape first, then contents (`thaw/fill/build.ts`), then marks and protection. */
import { closeSync } from "node:fs";
import { SyscallError } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { O } from "../../abi/fcntl.ts";
import { MADV, MAP, MLOCK_ONFAULT, PAGE_SIZE, PROT, protBits } from "../../abi/mman.ts";
import { PR, PR_SET_VMA_ANON_NAME } from "../../abi/prctl.ts";
import { remoteAddress, type LocalFd } from "../../lib/brand.ts";
import { unhex } from "../../lib/hex.ts";
import type { Row } from "../../tracee/scope.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ContentsHandle } from "../file/contents.ts";
import { hugeSizeFlag } from "../file/hugetlb-file.ts";
import type { MappingState } from "./mappings.ts";
import { oddOnes, wouldMerge } from "./adjacent-mappings.ts";
import { isAio, placeAio } from "../async-io/aio-restore.ts";
import { isRing, placeRing } from "../async-io/io-uring-restore.ts";
import { freeKeys, protectionKeyOf, type ProcessOfKeys } from "./protection-keys.ts";
import { isSegment, placeSegments } from "../ipc/sysv-attach.ts";

/** Marks that decide whether a fault brings a huge page: they must stand before the contents come. */
const HUGE_MARKS: readonly string[] = ["MADV_HUGEPAGE", "MADV_NOHUGEPAGE"];
/** Marks that kernels built without the feature answer with EINVAL; nothing but speed depends on them. */
const OPTIONAL_MARKS: readonly string[] = [...HUGE_MARKS, "MADV_MERGEABLE"];

/** The protection while the contents come in. */
function workingProt(mapping: MappingState): number {
  if (mapping.shared) return protBits(mapping.prot);
  if (mapping.pages.length > 0 && !isPoked(mapping)) return PROT.PROT_READ | PROT.PROT_WRITE;
  return protBits(mapping.prot) | (mapping.accounted ? PROT.PROT_WRITE : 0);
}

/**
 * Memory that was never writable and still has pages of its own, as where a debugger has set a breakpoint: making it
 * writable, even for a moment, would count it as memory of the process for ever. It is written past its protection.
 */
export function isPoked(mapping: MappingState): boolean {
  const counted = mapping.accounted || mapping.noReserve || mapping.hugePage !== undefined;
  return mapping.pages.length > 0 && !mapping.prot.includes("w") && !counted;
}

function shape(mapping: MappingState): { start: number; length: number; flags: number } {
  const start = unhex(mapping.start);
  const type = mapping.shared ? MAP.MAP_SHARED : mapping.droppable ? MAP.MAP_DROPPABLE : MAP.MAP_PRIVATE;
  let flags = type | MAP.MAP_FIXED_NOREPLACE;
  if (mapping.growsDown) flags |= MAP.MAP_GROWSDOWN;
  if (mapping.noReserve) flags |= MAP.MAP_NORESERVE;
  return { start, length: unhex(mapping.end) - start, flags };
}

/** Makes all mappings, without their contents; private ones that get contents are writable until these are in. */
export function thawMappings(
  process: ThawProcess,
  all: readonly MappingState[],
  inherited: ReadonlyMap<MappingState, Inherited>,
): void {
  // Rings first: while the address space is empty, making their place the only one is cheap.
  for (const mapping of all) {
    if (isRing(mapping)) placeRing(process, mapping);
    if (isAio(mapping)) placeAio(process, mapping);
  }
  const mappings = all.filter((mapping) => !isRing(mapping) && !isAio(mapping) && !isSegment(mapping));
  const odd = oddOnes(mappings);
  const sources = new Map<string, LocalFd>();
  const keyOf = (mapping: MappingState): string =>
    mapping.backing ? `${mapping.backing.object} ${mapping.backing.writable} ${odd.has(mapping)}` : "";
  try {
    for (const mapping of mappings) {
      const { backing } = mapping;
      const key = keyOf(mapping);
      if (!backing || sources.has(key) || inherited.has(mapping)) continue;
      const contents = process.context.object<ContentsHandle>(backing.object);
      const isPrivate = mappings.some((one) => one.backing?.object === backing.object && !one.shared);
      sources.set(key, openToMap(contents, backing.writable ? O.O_RDWR : 0, isPrivate));
    }
    lendAll(process, [...sources], new Map(), (fds) => {
      const rows = mappings.flatMap((mapping) => {
        const before = inherited.get(mapping);
        if (before) return adaptRows(mapping, before.odd, odd.has(mapping));
        return rowsOf(mapping, fds.get(keyOf(mapping)) ?? -1, odd.has(mapping));
      });
      process.scope.callAll(`Making the mappings of process ${process.pid}`, rows);
    });
  } finally {
    for (const local of sources.values()) closeSync(local);
  }
  for (const mapping of mappings) {
    for (const advice of mapping.advice ?? []) {
      const { start, length } = shape(mapping);
      if (HUGE_MARKS.includes(advice)) process.scope.attempt("madvise", start, length, MADV[advice]);
    }
  }
  separate(process, mappings, odd);
  placeSegments(process, all.filter(isSegment));
}

/** Mapping a file counts as reading it (st_atime), and it was read before the freeze. Only its owner may say so. */
function openToMap(contents: ContentsHandle, flags: number, isPrivate: boolean): LocalFd {
  const open = (how: number): LocalFd => (isPrivate && contents.openToMap?.(how)) || contents.open(how);
  try {
    return open(flags | O.O_NOATIME);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== "EPERM") throw error;
    return open(flags);
  }
}

/** How a mapping stands that was there when the process was cloned. */
export interface Inherited {
  readonly odd: boolean;
}

/** Makes a mapping that a process and those that are cloned from it will find in place. Contents come next. */
export function mapInherited(process: ThawProcess, mapping: MappingState, odd: boolean, source?: LocalFd): void {
  const make = (fd: number): void =>
    process.scope.callAll(`Making memory that process ${process.pid} shares with its relatives`, [
      ...rowsOf({ ...mapping, prot: "rw" }, fd, odd),
      ...hugeMarksOf(mapping).map((mark): Row => {
        const { start, length } = shape(mapping);
        return ["madvise", start, length, MADV[mark]];
      }),
    ]);
  if (source === undefined) make(-1);
  else process.lend(source, make);
}

/** Marks that decide whether a fault brings a huge page. */
export function hugeMarksOf({ advice = [] }: MappingState): (keyof typeof MADV)[] {
  return advice.filter((mark) => HUGE_MARKS.includes(mark));
}

/** What was inherited is readable and writable, and has its donor's mark of odd ones. */
function adaptRows(mapping: MappingState, wasOdd: boolean, odd: boolean): Row[] {
  const { start, length } = shape(mapping);
  const prot = workingProt(mapping);
  const rows: Row[] = [];
  if (wasOdd !== odd && !mapping.backing)
    rows.push(["madvise", start, length, odd ? MADV.MADV_DONTDUMP : MADV.MADV_DODUMP]);
  if (prot !== INHERITED_PROT) rows.push(["mprotect", start, length, prot]);
  return rows;
}
const INHERITED_PROT = PROT.PROT_READ | PROT.PROT_WRITE;

function rowsOf(mapping: MappingState, fd: number, odd: boolean): Row[] {
  const { start, length, flags } = shape(mapping);
  const prot = workingProt(mapping);
  if (mapping.backing) return [["mmap", start, length, prot, flags, fd, mapping.backing.offset]];
  const huge = mapping.hugePage === undefined ? 0 : MAP.MAP_HUGETLB | hugeSizeFlag(mapping.hugePage);
  const anonymous = flags | MAP.MAP_ANONYMOUS | huge;
  if (!odd) return [["mmap", start, length, prot, anonymous, -1, 0]];
  return [
    ["mmap", start, length, 0, anonymous, -1, 0],
    ["madvise", start, length, MADV.MADV_DONTDUMP],
    ["mprotect", start, length, prot],
  ];
}

/** Gives anonymous neighbours that are to stay apart a past of their own: what was faulted in apart is never joined. */
function separate(process: ThawProcess, mappings: readonly MappingState[], odd: ReadonlySet<MappingState>): void {
  mappings.forEach((mapping, i) => {
    if (mapping.backing || mapping.shared || mapping.pages.length > 0) return;
    const next = mappings[i + 1];
    const apart =
      wouldMerge(mappings[i - 1], mapping) || (next !== undefined && wouldMerge(mapping, next)) || odd.has(mapping);
    if (!apart) return;
    const { start } = shape(mapping);
    process.scope.memory.write(remoteAddress(start), Buffer.alloc(1));
    process.scope.attempt("madvise", start, PAGE_SIZE, MADV.MADV_DONTNEED);
  });
}

/** Lends several descriptors at once. */
function lendAll(
  process: ThawProcess,
  [first, ...rest]: readonly (readonly [string, LocalFd])[],
  lent: Map<string, number>,
  use: (fds: ReadonlyMap<string, number>) => void,
): void {
  if (!first) return use(lent);
  process.lend(first[1], (fd) => lendAll(process, rest, lent.set(first[0], fd), use));
}

/** After the contents: guards, advice, locks, names and protection as they were. */
export function finishMappings(process: ProcessOfKeys): void {
  const { scope } = process;
  const { mappings } = process.body;
  const about = `Marking the mappings of process ${process.pid}`;
  const tolerated: Row[] = [];
  const needed: Row[] = [];
  const last: Row[] = [];
  const odd = oddOnes(mappings);
  for (const mapping of mappings) {
    const { start, length } = shape(mapping);
    if (mapping.name !== undefined) {
      // Kernels without named anonymous memory (before 5.17) answer EINVAL; the name is for people only.
      scope.attempt(
        "prctl",
        PR.SET_VMA,
        PR_SET_VMA_ANON_NAME,
        start,
        length,
        scope.put(Buffer.from(`${mapping.name}\0`)),
      );
    }
    for (const [page, count] of mapping.guardRegions ?? []) {
      needed.push(["madvise", start + page * PAGE_SIZE, count * PAGE_SIZE, MADV.MADV_GUARD_INSTALL]);
    }
    for (const advice of mapping.advice ?? []) {
      if (OPTIONAL_MARKS.includes(advice)) tolerated.push(["madvise", start, length, MADV[advice]]);
      else needed.push(["madvise", start, length, MADV[advice]]);
    }
    // Memory that cannot be faulted in is locked all the same, and the answer is ENOMEM (mlock(2)).
    if (mapping.locked) tolerated.push(["mlock2", start, length, mapping.locked === "on-fault" ? MLOCK_ONFAULT : 0]);
    const key = protectionKeyOf(process.body, mapping);
    if (key !== undefined) last.push(["pkey_mprotect", start, length, protBits(mapping.prot), key]);
    else if (workingProt(mapping) !== protBits(mapping.prot) && !isSegment(mapping))
      last.push(["mprotect", start, length, protBits(mapping.prot)]);
    if (odd.has(mapping) && !mapping.backing && !mapping.advice?.includes("MADV_DONTDUMP")) {
      last.push(["madvise", start, length, MADV.MADV_DODUMP]);
    }
  }
  scope.callAll(about, needed);
  scope.batch(tolerated).forEach((result, i) => {
    const row = tolerated[i] as Row;
    if (result < 0 && ![-ERRNO.EINVAL, -ERRNO.ENOMEM, -ERRNO.EAGAIN].includes(result))
      scope.call(row[0], about, ...(row.slice(1) as number[]));
  });
  scope.callAll(about, last);
  freeKeys(process);
  const sealed = mappings.filter((mapping) => mapping.sealed).map(shape);
  scope.callAll(
    about,
    sealed.map(({ start, length }): Row => ["mseal", start, length, 0]),
  );
}
