/** Writes and reads cpio archives in the "newc" format, the one that the kernel unpacks as an initramfs. Pure. */

export interface CpioEntry {
  /** Relative to the root, without a leading slash; directories come before what is in them. */
  readonly path: string;
  readonly mode: number;
  readonly data: Buffer;
}

const TRAILER = "TRAILER!!!";
const HEADER_BYTES = 110;

/** The archive of these entries. Another archive, compressed or not, may follow it in the same file. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => record(entry, index + 1));
  parts.push(record({ path: TRAILER, mode: 0, data: Buffer.alloc(0) }, 0));
  return Buffer.concat(parts);
}

/** Zero bytes that bring `length` to a multiple of four. */
function cpioPadding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

function record(entry: CpioEntry, inode: number): Buffer {
  const name = Buffer.from(`${entry.path}\0`);
  const fields = [
    inode,
    entry.mode,
    0, // uid
    0, // gid
    1, // links
    0, // mtime
    entry.data.length,
    0, // device, major
    0, // device, minor
    0, // special file's device, major
    0, // special file's device, minor
    name.length,
    0, // checksum: none in this format
  ];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`);
  const head = Buffer.concat([header, name]);
  return Buffer.concat([head, cpioPadding(head.length), entry.data, cpioPadding(entry.data.length)]);
}

export interface FoundEntry extends CpioEntry {
  /** Of several names of one file only the last one has its data. */
  readonly links: number;
}

/**
 * Reads the archive that begins at `start`; gives its entries, and where it ends. Undefined when it is not whole, or no
 * archive of this format.
 */
export function readCpio(bytes: Buffer, start: number): { entries: FoundEntry[]; end: number } | undefined {
  const entries: FoundEntry[] = [];
  for (let at = start; at + HEADER_BYTES <= bytes.length;) {
    const header = bytes.toString("latin1", at, at + HEADER_BYTES);
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) return undefined;
    const field = (index: number) => Number.parseInt(header.slice(6 + index * 8, 14 + index * 8), 16);
    const [mode, links, size, nameSize] = [field(1), field(4), field(6), field(11)];
    const nameEnd = at + HEADER_BYTES + nameSize;
    const dataStart = nameEnd + cpioPadding(nameEnd - start).length;
    const dataEnd = dataStart + size;
    if (dataEnd > bytes.length) return undefined;
    const path = bytes.toString("utf8", at + HEADER_BYTES, nameEnd - 1);
    at = dataEnd + cpioPadding(dataEnd - start).length;
    if (path === TRAILER) return { entries, end: Math.min(at, bytes.length) };
    entries.push({ path, mode, links, data: bytes.subarray(dataStart, dataEnd) });
  }
  return undefined;
}
