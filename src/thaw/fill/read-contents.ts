/** Bringing memory from a core file into a blank process. */
import { SyscallError } from "../../sys/call.ts";
import { failures } from "../../errors/catalogue.ts";
import { extentsOf, headerSize, parseSegments, type Extent, type Segment } from "../../image/core/file.ts";
import { PR } from "../../abi/prctl.ts";
import type { Blob } from "../../resources/thaw-context.ts";
import { remoteAddress } from "../../lib/brand.ts";
import type { MappingState } from "../../resources/memory/mappings.ts";
import type { Row } from "../../tracee/scope.ts";
import type { BuiltProcess } from "./process.ts";

/** The kernel moves at most this much in one read(2); a multiple of the page size. */
const LONGEST_READ = 0x7fff_f000;
const FIRST_HEADER_BYTES = 64;
const PIECE = 1024 * 1024;
/** A huge page of x86-64. */
const HUGE_PAGE = 2 * 1024 * 1024;

/**
 * The process itself reads memory from the core file of `owner`, straight into place; what is encrypted comes through
 * us.
 */
export function readContents(
  process: BuiltProcess,
  owner: number,
  mappings: readonly (Pick<MappingState, "start" | "pages"> & { readonly poked?: boolean })[],
  onBytes: (bytes: number) => void,
): void {
  if (mappings.every(({ pages }) => pages.length === 0)) return;
  using core = process.context.openBlob(`${owner}.core`);
  const segments = readSegments(core);
  const { poked = [], usual = [] } = Object.groupBy(mappings, (mapping) => (mapping.poked ? "poked" : "usual"));
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
      if (result !== wanted) throw failures.IMAGE_SHORT({ process });
      onBytes(result);
    });
  }
}

function readSegments(core: Blob): Segment[] {
  const read = (size: number): Buffer => {
    const bytes = Buffer.alloc(Math.min(size, core.size));
    core.read(bytes, 0);
    return bytes;
  };
  return parseSegments(read(headerSize(read(FIRST_HEADER_BYTES))));
}
