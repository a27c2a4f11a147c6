/** What the file of an x86 kernel says of itself: Documentation/arch/x86/boot.rst, and the PE header of its EFI stub. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** Up to the end of the headers, for any kernel. */
const HEADERS = 16 * 1024;
const SETUP_SECTORS = 0x1f1;
const SYSTEM_SIZE = 0x1f4;
const MAGIC = 0x202;
const VERSION_TEXT = 0x20e;
const PE_HEADER = 0x3c;
/** From the beginning of the PE header to the entry of the certificates in an image of 64 bits (PE32+). */
const CERTIFICATES = 24 + 112 + 4 * 8;

export interface KernelImage {
  /** Release, builder and version, as /proc/version has them; undefined when it is no x86 image. */
  readonly version: string | undefined;
  /** How many bytes it has, and how many its header says it has at least. */
  readonly size: number;
  readonly expected: number;
  /** Whether it carries a signature, whoever made that. */
  readonly isSigned: boolean;
}

export function readKernelImage(path: string): KernelImage {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const read = (at: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, at));
    };
    const head = read(0, HEADERS);
    if (head.length < 1024 || head.toString("latin1", MAGIC, MAGIC + 4) !== "HdrS")
      return { version: undefined, size, expected: 0, isSigned: false };
    const offset = head.readUInt16LE(VERSION_TEXT);
    const text =
      offset === 0
        ? undefined
        : read(offset + 0x200, 256)
            .toString("latin1")
            .split("\0")[0];
    const sectors = (head[SETUP_SECTORS] || 4) + 1;
    const certificates = certificatesIn(head);
    return {
      version: text || undefined,
      size,
      expected: Math.max(sectors * 512 + head.readUInt32LE(SYSTEM_SIZE) * 16, certificates.end),
      isSigned: certificates.size > 0,
    };
  } finally {
    closeSync(file);
  }
}

/** The table of certificates of a PE image; it stands at the end of the file. */
function certificatesIn(head: Buffer): { readonly size: number; readonly end: number } {
  const at = head.readUInt32LE(PE_HEADER);
  if (at + CERTIFICATES + 8 > head.length || head.toString("latin1", at, at + 4) !== "PE\0\0")
    return { size: 0, end: 0 };
  const [offset, size] = [head.readUInt32LE(at + CERTIFICATES), head.readUInt32LE(at + CERTIFICATES + 4)];
  return { size, end: size === 0 ? 0 : offset + size };
}
