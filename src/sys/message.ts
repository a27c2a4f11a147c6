/** recvmsg(2) and sendmsg(2) with control data (cmsg(3)), for peeking into sockets and filling them. */
import { ADDRESS_AT, CONTROL_AT, CONTROL_SIZE, type ControlMessage, HEADER, STRUCT_SIZE } from "../abi/message.ts";
import { MSG } from "../abi/socket.ts";
import { SyscallError, attempt, withStruct } from "./call.ts";
import { NativeBuffer } from "./ffi.unsafe.ts";

export interface ReceivedMessage {
  readonly data: Buffer;
  readonly from: Buffer;
  readonly control: readonly ControlMessage[];
  readonly flags: number;
}

const align = (length: number): number => (length + 7) & ~7;

/** Receives into `room`; returns a negated errno when there is nothing or it fails. */
export function receive(fd: number, room: NativeBuffer, flags: number): ReceivedMessage | number {
  return withStruct(STRUCT_SIZE, (bytes, address) => {
    fillHeader(bytes, address, { address: 128, control: CONTROL_SIZE, data: room.address, length: room.size });
    const got = attempt("recvmsg", fd, address, flags | MSG.MSG_CMSG_CLOEXEC);
    if (got < 0) return got;
    const control = bytes.subarray(CONTROL_AT, CONTROL_AT + Number(bytes.readBigUInt64LE(40)));
    return {
      data: Buffer.from(room.bytes.subarray(0, Math.min(got, room.size))),
      from: Buffer.from(bytes.subarray(ADDRESS_AT, ADDRESS_AT + bytes.readUInt32LE(8))),
      control: parseControl(control),
      flags: bytes.readUInt32LE(48),
    };
  });
}

/** Sends one message; returns the bytes taken, or a negated errno. */
export function trySend(
  fd: number,
  data: Buffer,
  control: readonly ControlMessage[],
  to: Buffer | undefined,
  flags = 0,
): number {
  using room = new NativeBuffer(Math.max(data.length, 1));
  data.copy(room.bytes);
  return withStruct(STRUCT_SIZE, (bytes, address) => {
    const encoded = Buffer.concat(control.map(encodeControl));
    encoded.copy(bytes, CONTROL_AT);
    to?.copy(bytes, ADDRESS_AT);
    const parts = { address: to?.length ?? 0, control: encoded.length, data: room.address, length: data.length };
    fillHeader(bytes, address, parts);
    return attempt("sendmsg", fd, address, flags | MSG.MSG_NOSIGNAL);
  });
}

/** Sends all of one message. */
export function send(
  fd: number,
  data: Buffer,
  control: readonly ControlMessage[],
  to: Buffer | undefined,
  about: string,
): void {
  let done = 0;
  do {
    const sent = trySend(fd, data.subarray(done), done === 0 ? control : [], to, MSG.MSG_DONTWAIT);
    if (sent < 0) throw new SyscallError("sendmsg", sent, about);
    done += sent;
  } while (done < data.length);
}

function fillHeader(
  bytes: Buffer,
  address: number,
  parts: { address: number; control: number; data: number; length: number },
): void {
  bytes.writeBigUInt64LE(parts.address > 0 ? BigInt(address + ADDRESS_AT) : 0n, 0);
  bytes.writeUInt32LE(parts.address, 8);
  bytes.writeBigUInt64LE(BigInt(address + HEADER), 16);
  bytes.writeBigUInt64LE(1n, 24);
  bytes.writeBigUInt64LE(parts.control > 0 ? BigInt(address + CONTROL_AT) : 0n, 32);
  bytes.writeBigUInt64LE(BigInt(parts.control), 40);
  bytes.writeBigUInt64LE(BigInt(parts.data), HEADER);
  bytes.writeBigUInt64LE(BigInt(parts.length), HEADER + 8);
}

function parseControl(bytes: Buffer): ControlMessage[] {
  const messages: ControlMessage[] = [];
  for (let at = 0; at + 16 <= bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    if (length < 16) break;
    const data = Buffer.from(bytes.subarray(at + 16, at + length));
    messages.push({ level: bytes.readInt32LE(at + 8), type: bytes.readInt32LE(at + 12), data });
    at += align(length);
  }
  return messages;
}

function encodeControl(message: ControlMessage): Buffer {
  const bytes = Buffer.alloc(align(16 + message.data.length));
  bytes.writeBigUInt64LE(BigInt(16 + message.data.length), 0);
  bytes.writeInt32LE(message.level, 8);
  bytes.writeInt32LE(message.type, 12);
  message.data.copy(bytes, 16);
  return bytes;
}
