/** Segments of a process's own, which old programs and emulators use: modify_ldt(2), arch/x86/include/asm/ldt.h. */
import * as v from "valibot";
import { hexSchema } from "../../lib/hex.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.array(v.strictObject({ entry: v.number(), descriptor: hexSchema }));

const ENTRY_SIZE = 8;
/** More are asked for when there are as many. */
const FIRST_LOOK = 8 * ENTRY_SIZE;
const MOST = 8192;
const READ = 0;
/** With the bit that programs may use (`useable`) taken as it is given. */
const WRITE = 0x11;

export const ldt: ProcessResource<v.InferOutput<typeof schema>, "ldt"> = {
  name: "ldt",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  asks: { bytes: FIRST_LOOK, calls: (at) => ({ table: ["modify_ldt", READ, at, FIRST_LOOK] }) },
  freeze({ scope }, answers) {
    const length = answers.attempt("table");
    // A kernel without segments of this kind refuses.
    if (length <= 0) return [];
    let table = answers.bytes.subarray(0, length);
    if (length === FIRST_LOOK) {
      const room = scope.scratch;
      const whole = scope.call("modify_ldt", "Asking for segments", READ, room, Math.min(MOST * ENTRY_SIZE, 4096));
      table = scope.take(whole);
    }
    return Array.from({ length: table.length / ENTRY_SIZE }, (_, entry) => table.readBigUInt64LE(entry * ENTRY_SIZE))
      .map((descriptor, entry) => ({ entry, descriptor: `0x${descriptor.toString(16)}` as const }))
      .filter(({ descriptor }) => descriptor !== "0x0");
  },
  thaw({ scope }, state) {
    for (const { entry, descriptor } of state) {
      const at = scope.put(userDescriptor(entry, BigInt(descriptor)));
      scope.call("modify_ldt", `Making segment ${entry}`, WRITE, at, 16);
    }
  },
};

/** struct user_desc of what the processor's table says (Intel SDM 3, 3.4.5). */
function userDescriptor(entry: number, descriptor: bigint): Buffer {
  const bits = (from: number, count: number): number =>
    Number((descriptor >> BigInt(from)) & ((1n << BigInt(count)) - 1n));
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(entry, 0);
  bytes.writeUInt32LE((bits(16, 24) | (bits(56, 8) << 24)) >>> 0, 4);
  bytes.writeUInt32LE(bits(0, 16) | (bits(48, 4) << 16), 8);
  const type = bits(40, 4);
  const flags =
    bits(54, 1) | // seg_32bit
    ((type >> 2) << 1) | // contents
    ((type & 2 ? 0 : 1) << 3) | // read_exec_only
    (bits(55, 1) << 4) | // limit_in_pages
    ((bits(47, 1) ? 0 : 1) << 5) | // seg_not_present
    (bits(52, 1) << 6); // useable
  bytes.writeUInt32LE(flags, 12);
  return bytes;
}
