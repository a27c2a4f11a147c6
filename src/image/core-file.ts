/**
 * The ELF core file of one address space (core(5)): gdb opens it, and thawing reads the memory back from it.
 *
 * Each mapping becomes one or more PT_LOAD segments. Segments with bytes in the file start on a page of the file;
 * within them, pages that were never touched are holes. The other parts of a mapping have a size in memory only.
 */
import { PAGE_SIZE, protBits } from "../abi/mman.ts";
import { unhex } from "../lib/hex.ts";
import type { MappingState } from "../resources/memory/mappings.ts";

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
}

/** Lays the segments out behind headers and `notesSize` bytes of notes. */
export function planSegments(mappings: readonly MappingState[], notesSize: number): Segment[] {
  let pieces: Piece[] = [];
  for (let hole = LARGEST_HOLE; ; hole *= 8) {
    pieces = mappings.flatMap((mapping) => cutMapping(mapping, hole));
    if (pieces.length <= MOST_SEGMENTS || hole > 2 ** 40) break;
  }
  let offset = roundUp(HEADER_SIZE + (pieces.length + 1) * PHDR_SIZE + notesSize);
  return pieces.map(({ start, end, kept, flags }) => {
    const fileSize = kept ? end - start : 0;
    const segment = { address: start, memorySize: end - start, fileOffset: offset, fileSize, flags };
    offset += fileSize;
    return segment;
  });
}

function cutMapping(mapping: MappingState, largestHole: number): Piece[] {
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

/** The PT_LOAD segments of a core file, from its first bytes. Throws a RangeError where they do not fit. */
export function parseSegments(header: Buffer): Segment[] {
  const count = header.readUInt16LE(56);
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

/** e_phnum has 16 bits. */
export const LARGEST_HEADER = HEADER_SIZE + 0xffff * PHDR_SIZE;

/** Bytes of a core file's beginning that hold all its program headers, which stand where we write them. */
export function headerSize(firstBytes: Buffer): number {
  if (firstBytes.readBigUInt64LE(32) !== BigInt(HEADER_SIZE)) throw new RangeError("not a core file of kmonte");
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
        throw new RangeError(`no bytes in the core file for 0x${address.toString(16)}`);
      }
      const length = Math.min(end, segment.address + segment.fileSize) - address;
      // A segment of another file would lead nowhere, or nowhere further.
      if (!(length > 0)) throw new RangeError(`no bytes in the core file for 0x${address.toString(16)}`);
      extents.push({ address, length, offset: segment.fileOffset + (address - segment.address) });
      address += length;
    }
  }
  return extents;
}
