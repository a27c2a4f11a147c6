/** Writes cpio archives in the "newc" format, the one that the kernel unpacks as an initramfs. Pure. */

export interface CpioEntry {
  /** Relative to the root, without a leading slash; directories come before what is in them. */
  readonly path: string;
  readonly mode: number;
  readonly data: Buffer;
}

/** The archive of these entries. Another archive, compressed or not, may follow it in the same file. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => record(entry, index + 1));
  parts.push(record({ path: "TRAILER!!!", mode: 0, data: Buffer.alloc(0) }, 0));
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
