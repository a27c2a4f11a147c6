/**
 * The ELF core file of one address space (core(5)): gdb opens it, and thawing reads the memory back from it.
 *
 * Each mapping becomes one or more PT_LOAD segments. Segments with bytes in the file start on a page of the file;
 * within them, pages that were never touched are holes. The other parts of a mapping have a size in memory only.
 */
import { PAGE_SIZE, protBits } from "../../abi/mman.ts";
import { unhex } from "../../lib/hex.ts";
import type { MappingState } from "../../resources/memory/mappings.ts";
import { InconsistentImage, MalformedImage } from "../../errors/wrong-input.ts";

export interface Segment {
  readonly address: number;
  readonly memorySize: number;
  /** Where the bytes stand in the file; 0 bytes for parts that are not kept. */
  readonly fileOffset: number;
  readonly fileSize: number;
  /** PF_R, PF_W, PF_X. */
  readonly flags: number;
}

/** A stretch of memory and its place in the core file. */
export interface Extent {
  readonly address: number;
  readonly length: number;
  readonly offset: number;
}

/** Untouched stretches up to this many pages stay inside a segment, as a hole. */
const LARGEST_HOLE = 256;
/** e_phnum has 16 bits; larger counts need an extension that some readers lack. */
const MOST_SEGMENTS = 60_000;

const HEADER_SIZE = 64;
const PHDR_SIZE = 56;
const PT_LOAD = 1;
const PT_NOTE = 4;

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly kept: boolean;
  readonly flags: number;
  /** Its place in the file, where a layout has one for it. */
  readonly place?: number;
}

/** What a core file needs to know of a mapping. */
export type CoreMapping = Pick<MappingState, "start" | "end" | "prot" | "pages"> & { readonly backing?: unknown };

/** Lays the segments out behind headers and `notesSize` bytes of notes. */
export function planSegments(mappings: readonly CoreMapping[], notesSize: number): Segment[] {
  const pieces = cutMappings(mappings);
  let offset = sizeOfHeader(pieces.length, notesSize);
  return pieces.map((piece) => {
    const segment = segmentAt(piece, offset);
    offset += segment.fileSize;
    return segment;
  });
}

/** Where memory stands in a core file that is begun before it is known what all will be in it. */
export interface Layout {
  /** In the order of their addresses and offsets. */
  readonly ranges: readonly Extent[];
  /** Everything else stands from here on: a multiple of the granularity. */
  readonly end: number;
  /** Room before the first range. */
  readonly headerRoom: number;
}

/** Places for the pages that are there now, behind `headerRoom` bytes; both sides are multiples of `granularity`. */
export function layOut(mappings: readonly CoreMapping[], headerRoom: number, granularity: number): Layout {
  const base = Math.ceil(headerRoom / granularity) * granularity;
  let offset = base;
  const ranges = cutMappings(mappings)
    .filter(({ kept }) => kept)
    .map(({ start, end }) => {
      const range = { address: start, length: end - start, offset };
      offset += range.length;
      return range;
    });
  return { ranges, end: Math.ceil(offset / granularity) * granularity, headerRoom: base };
}

/**
 * The segments in a file that was begun by a layout: what has a place keeps it, the rest comes after. Undefined when
 * headers and notes have no room.
 */
export function planSegmentsWithin(
  mappings: readonly CoreMapping[],
  notesSize: number,
  layout: Layout,
): Segment[] | undefined {
  const pieces = cutMappings(mappings).flatMap((piece) => (piece.kept ? cutAtRanges(piece, layout.ranges) : piece));
  if (pieces.length > MOST_SEGMENTS || sizeOfHeader(pieces.length, notesSize) > layout.headerRoom) return undefined;
  let { end } = layout;
  return pieces.map((piece) => {
    if (piece.place !== undefined) return segmentAt(piece, piece.place);
    const segment = segmentAt(piece, end);
    end += segment.fileSize;
    return segment;
  });
}

/** The places of those of the mappings' pages that a layout has one for. */
export function extentsWithin(mappings: readonly CoreMapping[], { ranges }: Layout): Extent[] {
  return mappings.flatMap(({ start, pages }) =>
    pages.flatMap(([first, count]) => {
      const from = unhex(start) + first * PAGE_SIZE;
      const run = { start: from, end: from + count * PAGE_SIZE, kept: true, flags: 0 };
      return cutAtRanges(run, ranges).flatMap((part) =>
        part.place === undefined ? [] : { address: part.start, length: part.end - part.start, offset: part.place },
      );
    }),
  );
}

function cutAtRanges(piece: Piece, ranges: readonly Extent[]): Piece[] {
  const parts: Piece[] = [];
  let at = piece.start;
  for (let i = firstEndingAfter(ranges, at); at < piece.end; i += 1) {
    const range = ranges[i];
    const from = Math.min(Math.max(range?.address ?? piece.end, at), piece.end);
    if (from > at) parts.push({ ...piece, start: at, end: from });
    if (!range || from === piece.end) break;
    at = Math.min(range.address + range.length, piece.end);
    parts.push({ ...piece, start: from, end: at, place: range.offset + (from - range.address) });
  }
  return parts;
}

function firstEndingAfter(ranges: readonly Extent[], address: number): number {
  let low = 0;
  for (let high = ranges.length; low < high;) {
    const middle = (low + high) >>> 1;
    const { address: start, length } = ranges[middle] as Extent;
    if (start + length <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

function segmentAt({ start, end, kept, flags }: Piece, fileOffset: number): Segment {
  return { address: start, memorySize: end - start, fileOffset, fileSize: kept ? end - start : 0, flags };
}

function sizeOfHeader(segments: number, notesSize: number): number {
  return roundUp(HEADER_SIZE + (segments + 1) * PHDR_SIZE + notesSize);
}

function cutMappings(mappings: readonly CoreMapping[]): Piece[] {
  for (let hole = LARGEST_HOLE; ; hole *= 8) {
    const pieces = mappings.flatMap((mapping) => cutMapping(mapping, hole));
    if (pieces.length <= MOST_SEGMENTS || hole > 2 ** 40) return pieces;
  }
}

function cutMapping(mapping: CoreMapping, largestHole: number): Piece[] {
  const start = unhex(mapping.start);
  const end = unhex(mapping.end);
  const prot = protBits(mapping.prot);
  const flags = ((prot & 1) << 2) | (prot & 2) | ((prot & 4) >> 2);
  // Pages of a file that are not the process's own must not look like zeros: no holes there.
  const hole = mapping.backing ? 0 : largestHole;
  const pieces: Piece[] = [];
  let at = start;
  let open: { start: number; end: number } | undefined;
  const close = (): void => {
    if (!open) return;
    if (open.start > at) pieces.push({ start: at, end: open.start, kept: false, flags });
    pieces.push({ ...open, kept: true, flags });
    at = open.end;
    open = undefined;
  };
  for (const [first, count] of mapping.pages) {
    const from = start + first * PAGE_SIZE;
    const to = from + count * PAGE_SIZE;
    if (open && from - open.end <= hole * PAGE_SIZE) open.end = to;
    else {
      close();
      open = { start: from, end: to };
    }
  }
  close();
  if (at < end) pieces.push({ start: at, end, kept: false, flags });
  return pieces;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

/** The bytes from the start of the file to the first page of memory. */
export function buildHeader(segments: readonly Segment[], notes: Buffer): Buffer {
  const notesOffset = HEADER_SIZE + (segments.length + 1) * PHDR_SIZE;
  const bytes = Buffer.alloc(roundUp(notesOffset + notes.length));
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(bytes);
  bytes.writeUInt16LE(4, 16); // ET_CORE
  bytes.writeUInt16LE(62, 18); // EM_X86_64
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(HEADER_SIZE), 32);
  bytes.writeUInt16LE(HEADER_SIZE, 52);
  bytes.writeUInt16LE(PHDR_SIZE, 54);
  bytes.writeUInt16LE(segments.length + 1, 56);
  const write = (index: number, type: number, segment: Segment, align: number): void => {
    const at = HEADER_SIZE + index * PHDR_SIZE;
    bytes.writeUInt32LE(type, at);
    bytes.writeUInt32LE(segment.flags, at + 4);
    bytes.writeBigUInt64LE(BigInt(segment.fileOffset), at + 8);
    bytes.writeBigUInt64LE(BigInt(segment.address), at + 16);
    bytes.writeBigUInt64LE(BigInt(segment.fileSize), at + 32);
    bytes.writeBigUInt64LE(BigInt(segment.memorySize), at + 40);
    bytes.writeBigUInt64LE(BigInt(align), at + 48);
  };
  write(0, PT_NOTE, { address: 0, memorySize: 0, fileOffset: notesOffset, fileSize: notes.length, flags: 0 }, 4);
  segments.forEach((segment, i) => write(i + 1, PT_LOAD, segment, PAGE_SIZE));
  notes.copy(bytes, notesOffset);
  return bytes;
}

/** The PT_LOAD segments of a core file, from its first bytes. Throws a {@link MalformedImage} where they do not fit. */
export function parseSegments(header: Buffer): Segment[] {
  requireLength(header, HEADER_SIZE);
  const count = header.readUInt16LE(56);
  requireLength(header, HEADER_SIZE + count * PHDR_SIZE);
  const segments: Segment[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = HEADER_SIZE + index * PHDR_SIZE;
    if (header.readUInt32LE(at) !== PT_LOAD) continue;
    segments.push({
      flags: header.readUInt32LE(at + 4),
      fileOffset: Number(header.readBigUInt64LE(at + 8)),
      address: Number(header.readBigUInt64LE(at + 16)),
      fileSize: Number(header.readBigUInt64LE(at + 32)),
      memorySize: Number(header.readBigUInt64LE(at + 40)),
    });
  }
  return segments;
}

function requireLength(bytes: Buffer, length: number): void {
  if (bytes.length < length) throw new MalformedImage("the core file ends within its headers");
}

/** e_phnum has 16 bits. */
export const LARGEST_HEADER = HEADER_SIZE + 0xffff * PHDR_SIZE;

/** Bytes of a core file's beginning that hold all its program headers, which stand where we write them. */
export function headerSize(firstBytes: Buffer): number {
  requireLength(firstBytes, HEADER_SIZE);
  if (firstBytes.readBigUInt64LE(32) !== BigInt(HEADER_SIZE)) throw new MalformedImage("not a core file of kmonte");
  return HEADER_SIZE + firstBytes.readUInt16LE(56) * PHDR_SIZE;
}

/** Where a mapping's kept pages stand in the core file. Neighbouring pages come as one extent. */
export function extentsOf(mapping: Pick<MappingState, "start" | "pages">, segments: readonly Segment[]): Extent[] {
  const start = unhex(mapping.start);
  const extents: Extent[] = [];
  let index = segments.findIndex((segment) => segment.address + segment.memorySize > start);
  for (const [first, count] of mapping.pages) {
    let address = start + first * PAGE_SIZE;
    const end = address + count * PAGE_SIZE;
    while (address < end) {
      let segment = segments[index];
      while (segment && segment.address + segment.memorySize <= address) segment = segments[(index += 1)];
      if (!segment || segment.fileSize === 0 || segment.address > address) {
        throw new InconsistentImage(`no bytes in the core file for 0x${address.toString(16)}`);
      }
      const length = Math.min(end, segment.address + segment.fileSize) - address;
      // A segment of another file would lead nowhere, or nowhere further.
      if (!(length > 0)) throw new InconsistentImage(`no bytes in the core file for 0x${address.toString(16)}`);
      extents.push({ address, length, offset: segment.fileOffset + (address - segment.address) });
      address += length;
    }
  }
  return extents;
}
