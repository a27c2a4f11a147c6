/** A classic BPF filter on a socket (socket(7), SO_ATTACH_FILTER). */
import { failures } from "../../errors/catalogue.ts";
import * as v from "valibot";
import { attempt, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { SO, SOL } from "../../abi/socket.ts";
import { setOption } from "../../sys/socket.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";

/** Instructions (struct sock_filter), eight bytes each, in hexadecimal. */
export const filterSchema = v.pipe(v.string(), v.regex(/^([0-9a-f]{16})+$/));

const INSTRUCTION = 8;
/** BPF_MAXINSNS */
const MOST = 4096;

export function freezeFilter(file: OpenFile): string | undefined {
  return withStruct(MOST * INSTRUCTION + 8, (bytes, address) => {
    const size = address + MOST * INSTRUCTION;
    // Lengths are numbers of instructions here.
    bytes.writeUInt32LE(MOST, MOST * INSTRUCTION);
    const result = attempt("getsockopt", file.local, SOL.SOL_SOCKET, SO.SO_ATTACH_FILTER, address, size);
    if (result === -ERRNO.EACCES) {
      throw failures.SOCKET_BPF.filter({ file });
    }
    const count = result < 0 ? 0 : bytes.readUInt32LE(MOST * INSTRUCTION);
    return count === 0 ? undefined : bytes.subarray(0, count * INSTRUCTION).toString("hex");
  });
}

export function thawFilter(fd: LocalFd, filter: string | undefined): void {
  if (filter === undefined) return;
  const instructions = Buffer.from(filter, "hex");
  withStruct(instructions.length, (bytes, address) => {
    instructions.copy(bytes);
    // struct sock_fprog
    const program = Buffer.alloc(16);
    program.writeUInt16LE(instructions.length / INSTRUCTION, 0);
    program.writeBigUInt64LE(BigInt(address), 8);
    setOption(fd, SOL.SOL_SOCKET, SO.SO_ATTACH_FILTER, program, "Attaching a filter");
  });
}

/** BPF_RET|BPF_K with 0 */
const NOTHING = "0600000000000000";

/** From now on the socket receives nothing, until {@link takeAll}. */
export function dropAll(fd: LocalFd): void {
  thawFilter(fd, NOTHING);
}

export function takeAll(fd: LocalFd): void {
  setOption(fd, SOL.SOL_SOCKET, SO.SO_DETACH_FILTER, Buffer.alloc(4), "Detaching a filter");
}
