/** Writes the lz4 that the kernel unpacks, without making anything smaller: blocks of literals alone. Pure. */

const MAGIC = 0x184c2102;
/** The kernel unpacks a block into a buffer of this size. */
const BLOCK_BYTES = 8 * 2 ** 20;

export function lz4Literals(data: Buffer): Buffer {
  const parts = [uint32(MAGIC)];
  for (let at = 0; at < data.length; at += BLOCK_BYTES) {
    const literals = data.subarray(at, at + BLOCK_BYTES);
    const head = sequenceHead(literals.length);
    parts.push(uint32(head.length + literals.length), head, literals);
  }
  return Buffer.concat(parts);
}

/** The block's one sequence: the length of its literals, from 15 on in further bytes. */
function sequenceHead(length: number): Buffer {
  if (length < 15) return Buffer.from([length << 4]);
  const more = length - 15;
  return Buffer.from([0xf0, ...Array.from({ length: Math.floor(more / 255) }, () => 255), more % 255]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
