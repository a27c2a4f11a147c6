/** Filling one blank process: memory, descriptors, everything that belongs to the process, and its threads. */
import { SyscallError } from "../abi/call.ts";
import { CLONE } from "../abi/clone.ts";
import { KmonteError } from "../lib/errors.ts";
import { unhex } from "../lib/hex.ts";
import { extentsOf, headerSize, parseSegments, type Extent, type Segment } from "../image/core-file.ts";
import { PR } from "../abi/prctl.ts";
import type { Blob } from "../resources/contract.ts";
import { remoteAddress } from "../lib/brand.ts";
import { finishMappings, isPoked, thawMappings } from "../resources/memory/place.ts";
import { thawVdso, type ParkedVdso } from "../resources/memory/vdso.x86_64.ts";
import { firstResources, processResources } from "../resources/registry.ts";
import type { NamespaceHandle } from "../resources/namespaces/handle.ts";
import { setIds, type Credentials } from "../resources/thread/credentials.ts";
import { BuildScope } from "../tracee/build-scope.x86_64.ts";
import type { Row } from "../tracee/scope.ts";
import { idsForClone } from "./births.ts";
import { cloneWithIds } from "./ids.ts";
import type { BuiltProcess } from "./process.ts";
import type { Users } from "./users.ts";
import { findFreeSpace } from "./space.ts";

/** The kernel moves at most this much in one read(2); a multiple of the page size. */
const LONGEST_READ = 0x7fff_f000;
const FIRST_HEADER_BYTES = 64;
const PIECE = 1024 * 1024;
/** A huge page of x86-64. */
const HUGE_PAGE = 2 * 1024 * 1024;

/** All memory of the process: mappings, their contents, the vDSO, and what /proc tells of them. */
export function buildMemory(process: BuiltProcess, vdso: ParkedVdso, onBytes: (bytes: number) => void): void {
  const { mappings } = process.body;
  const parked = { start: Math.min(...vdso.parts.map((p) => p.start)), end: Math.max(...vdso.parts.map((p) => p.end)) };
  thawMappings(process, mappings);
  readContents(process, onBytes);
  finishMappings(process, mappings);
  const taken = [
    ...mappings.map((m) => ({ start: unhex(m.start), end: unhex(m.end), growsDown: m.growsDown === true })),
    ...process.body.vdso.parts.map((part) => ({ start: unhex(part.start), end: unhex(part.end) })),
    process.scope.workshop,
    ...(vdso.parts.length > 0 ? [parked] : []),
  ];
  thawVdso(process, process.body.vdso, vdso, (size) => findFreeSpace(taken, size));
}

/** The process itself reads its memory from the core file, straight into place; what is encrypted comes through us. */
function readContents(process: BuiltProcess, onBytes: (bytes: number) => void): void {
  using core = process.context.openBlob(`${process.pid}.core`);
  const segments = readSegments(core);
  const { poked = [], usual = [] } = Object.groupBy(process.body.mappings, (mapping) =>
    isPoked(mapping) ? "poked" : "usual",
  );
  const parts = usual.flatMap((mapping) => extentsOf(mapping, segments)).flatMap(cutAtHugePages);
  const { huge = [], small = [] } = Object.groupBy(parts, (part) => (part.huge ? "huge" : "small"));
  const { plain } = core;
  const inOrder = (fill: (wanted: readonly Extent[]) => void): void => {
    fill(huge);
    // A fault in the rest must not bring a huge page where the frozen process had a few small ones.
    process.scope.call("prctl", "Holding huge pages back", PR.SET_THP_DISABLE, 1, 0, 0, 0);
    fill(small);
    process.scope.call("prctl", "Allowing huge pages", PR.SET_THP_DISABLE, 0, 0, 0, 0);
  };
  if (plain === undefined) inOrder((wanted) => pokeExtents(process, core, wanted, onBytes));
  else process.lend(plain, (fd) => inOrder((wanted) => readExtents(process, fd, wanted, onBytes)));
  const rest = poked.flatMap((mapping) => extentsOf(mapping, segments));
  pokeExtents(process, core, rest, onBytes);
}

/** Through our own memory, a piece at a time, past the protections of the process. */
function pokeExtents(
  process: BuiltProcess,
  core: Blob,
  extents: readonly Extent[],
  onBytes: (bytes: number) => void,
): void {
  const buffer = Buffer.allocUnsafe(PIECE);
  for (const { address, length, offset } of extents) {
    for (let done = 0; done < length; done += PIECE) {
      const part = buffer.subarray(0, Math.min(PIECE, length - done));
      core.read(part, offset + done);
      process.scope.memory.write(remoteAddress(address + done), part);
      onBytes(part.length);
    }
  }
}

type Part = Extent & { readonly huge: boolean };

/** Whole huge pages, and the rest. */
function cutAtHugePages(extent: Extent): Part[] {
  const { address, length, offset } = extent;
  const first = Math.ceil(address / HUGE_PAGE) * HUGE_PAGE;
  const last = Math.floor((address + length) / HUGE_PAGE) * HUGE_PAGE;
  if (last <= first) return [{ ...extent, huge: false }];
  const part = (from: number, to: number, huge: boolean): Part[] =>
    from < to ? [{ address: from, length: to - from, offset: offset + (from - address), huge }] : [];
  return [...part(address, first, false), ...part(first, last, true), ...part(last, address + length, false)];
}

function readExtents(
  process: BuiltProcess,
  fd: number,
  extents: readonly Extent[],
  onBytes: (bytes: number) => void,
): void {
  const rows: Row[] = [];
  for (const { address, length, offset } of extents) {
    for (let done = 0; done < length; done += LONGEST_READ) {
      rows.push(["pread64", fd, address + done, Math.min(LONGEST_READ, length - done), offset + done]);
    }
  }
  for (let first = 0; first < rows.length; first += process.scope.batchSize) {
    const part = rows.slice(first, first + process.scope.batchSize);
    process.scope.batch(part).forEach((result, i) => {
      const wanted = part[i]?.[3] ?? 0;
      if (result < 0)
        throw new SyscallError("pread64", result, `Reading memory into process ${process.pid}`, process.pid);
      if (result !== wanted) throw endsTooEarly(process);
      onBytes(result);
    });
  }
}

function endsTooEarly(process: BuiltProcess): KmonteError {
  return new KmonteError("IMAGE_SHORT", { what: `The image ends before the memory of process ${process.pid} does.` });
}

function readSegments(core: Blob): Segment[] {
  const read = (size: number): Buffer => {
    const bytes = Buffer.alloc(Math.min(size, core.size));
    core.read(bytes, 0);
    return bytes;
  };
  return parseSegments(read(headerSize(read(FIRST_HEADER_BYTES))));
}

/** Threads besides the main one, with their ids; all share what threads of a process share. */
export function buildThreads(process: BuiltProcess, users: Users): Map<number, BuildScope> {
  const scopes = new Map<number, BuildScope>([[process.pid, process.scope]]);
  const flags = CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD | CLONE.SYSVSEM;
  for (const { tid, tidsInside } of process.body.threads) {
    if (tid === process.pid) continue;
    cloneWithIds(process.scope, users, {
      args: { flags, exitSignal: 0 },
      ids: idsForClone(tid, tidsInside),
      inside: process.state.inside,
      about: `Making thread ${tid} of process ${process.pid}`,
    });
    const scope = new BuildScope(process.pid, tid, process.scope.memory, process.scope.workshop);
    scope.user = process.scope.user;
    scopes.set(tid, scope);
  }
  return scopes;
}

/** What belongs to the process as a whole. */
export function buildProcess(process: BuiltProcess): void {
  for (const resource of processResources) {
    if (firstResources.includes(resource) || (resource.of && process.isBorrowed(resource.of))) continue;
    resource.thaw(process, process.body.resources[resource.name]);
  }
}

/** The last step of a process before it gets threads: setns(2) takes none of several into a user namespace. */
export function enterUserNamespace(process: BuiltProcess): void {
  const { user, scope, context } = process;
  if (user === undefined || user === scope.user) return;
  const [first] = process.body.threads as unknown as { credentials: Credentials }[];
  if (!first) return;
  const { fd } = context.object<NamespaceHandle>(user);
  process.lend(fd, (lent) => {
    // Ids that have no name inside can only be taken before.
    setIds({ process, tid: process.pid, scope }, first.credentials);
    scope.call("setns", "Entering a user namespace", lent, CLONE.NEWUSER);
  });
  scope.user = user;
}

/** What must be before files are opened, and before others are born who share a working directory with it. */
export function beginProcess(process: BuiltProcess): void {
  if (process.begun) return;
  process.begun = true;
  for (const resource of firstResources) resource.thaw(process, process.body.resources[resource.name]);
}
