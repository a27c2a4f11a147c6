/**
 * The urgent mark of a TCP connection (tcp(7)): the place of a byte in what was received, and the byte itself unless it
 * was taken out of band. A segment that says so is the only way to set one.
 */
import { failures } from "../../../errors/catalogue.ts";
import { POLL } from "../../../abi/poll.ts";
import { pollNow } from "../../../sys/poll.ts";
import * as v from "valibot";
import { SyscallError, attempt, call, withStruct } from "../../../sys/call.ts";
import { NativeBuffer } from "../../../sys/ffi.unsafe.ts";
import { receive } from "../../../sys/message.ts";
import { MSG, SO, SOL } from "../../../abi/socket.ts";
import { getInt, setInt } from "../../../sys/socket.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { OpenFile } from "../../freeze-context.ts";

export const urgentSchema = v.strictObject({
  /** Bytes of the receive queue before the urgent one. */
  at: v.number(),
  /** recv(2) with MSG_OOB has taken it. */
  taken: v.boolean(),
});
type Urgent = v.InferOutput<typeof urgentSchema>;

/** With SO_OOBINLINE the byte is read like others, and out of band not at all. */
export interface UrgentLook {
  readonly urgent: Urgent;
  /** All that was received, the urgent byte among it. */
  readonly received: Buffer;
}

/** `before` is what can be read up to the mark, `total` the number of all bytes. */
export function lookAtUrgent(file: OpenFile, before: Buffer, total: number): UrgentLook | undefined {
  const pending = (pollNow(file.local, POLL.POLLPRI) & POLL.POLLPRI) !== 0;
  if (!pending && before.length >= total) return undefined;
  const { local } = file;
  const inline = getInt(local, SOL.SOL_SOCKET, SO.SO_OOBINLINE) === 1;
  const at = before.length;
  const behind = at + 1 < total || inline ? peekFrom(file, at, total - at) : Buffer.alloc(0);
  if (inline) return { urgent: { at, taken: false }, received: Buffer.concat([before, behind]) };
  const byte = pending ? peekUrgent(local) : Buffer.alloc(1);
  return { urgent: { at, taken: !pending }, received: Buffer.concat([before, byte, behind]) };
}

function peekUrgent(fd: LocalFd): Buffer {
  return withStruct(1, (bytes, address) => {
    call("recvfrom", "Looking at an urgent byte", fd, address, 1, MSG.MSG_OOB | MSG.MSG_PEEK, 0, 0);
    return Buffer.from(bytes);
  });
}

/** A look stops at the mark; to begin behind it takes an offset, which TCP has since 6.9. */
function peekFrom(file: OpenFile, at: number, length: number): Buffer {
  const { local } = file;
  if (getInt(local, SOL.SOL_SOCKET, SO.SO_PEEK_OFF) === undefined || !setPeekOffset(local, at))
    throw failures.TCP_URGENT({ file });
  using room = new NativeBuffer(length);
  try {
    const message = receive(local, room, MSG.MSG_PEEK | MSG.MSG_DONTWAIT);
    if (typeof message === "number") throw new SyscallError("recvmsg", message, "Looking behind urgent data");
    return message.data.subarray(0, length);
  } finally {
    setPeekOffset(local, -1);
  }
}

function setPeekOffset(fd: LocalFd, at: number): boolean {
  try {
    setInt(fd, SOL.SOL_SOCKET, SO.SO_PEEK_OFF, at, "Looking behind urgent data");
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/** Takes the byte out of band, as the program had. */
export function takeUrgent(fd: LocalFd): void {
  withStruct(1, (_, address) => attempt("recvfrom", fd, address, 1, MSG.MSG_OOB, 0, 0));
}
