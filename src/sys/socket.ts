/** socket(2), socket(7): families, types, levels (include/uapi/asm-generic/socket.h, include/linux/socket.h). */
import { ERRNO } from "../abi/errno.ts";
import { intBytes } from "../abi/socket.ts";
import { SyscallError, attempt, withStruct } from "./call.ts";

/** An option of any size; undefined when this kernel or this kind of socket does not have it. */
export function getOption(fd: number, level: number, option: number, size = 4): Buffer | undefined {
  return withStruct(size + 64, (bytes, address) => {
    bytes.writeUInt32LE(size, size + 8);
    const result = attempt("getsockopt", fd, level, option, address, address + size + 8);
    return result < 0 ? undefined : Buffer.from(bytes.subarray(0, bytes.readUInt32LE(size + 8)));
  });
}

/** An option that is an int; undefined when there is none. Some options answer with one byte. */
export function getInt(fd: number, level: number, option: number): number | undefined {
  const bytes = getOption(fd, level, option);
  if (!bytes || bytes.length === 0) return undefined;
  return bytes.length >= 4 ? bytes.readInt32LE(0) : (bytes[0] as number);
}

/** Sets an option; returns the result or negated errno. */
export function trySetOption(fd: number, level: number, option: number, value: Buffer): number {
  return withStruct(Math.max(value.length, 1), (bytes, address) => {
    value.copy(bytes);
    return attempt("setsockopt", fd, level, option, address, value.length);
  });
}

export function setOption(fd: number, level: number, option: number, value: Buffer, about: string): void {
  const result = trySetOption(fd, level, option, value);
  if (result < 0) throw new SyscallError("setsockopt", result, about);
}

export function setInt(fd: number, level: number, option: number, value: number, about: string): void {
  setOption(fd, level, option, intBytes(value), about);
}

/** getsockname(2) or getpeername(2): the raw address; undefined when there is none. */
export function socketAddress(fd: number, which: "getsockname" | "getpeername"): Buffer | undefined {
  return withStruct(192, (bytes, address) => {
    bytes.writeUInt32LE(128, 128);
    const result = attempt(which, fd, address, address + 128);
    if (result === -ERRNO.ENOTCONN) return undefined;
    if (result < 0) throw new SyscallError(which, result, "Asking for the address of a socket");
    return Buffer.from(bytes.subarray(0, bytes.readUInt32LE(128)));
  });
}

/** bind(2) or connect(2) with a raw address; returns the result or negated errno. */
export function tryAddress(name: "bind" | "connect", fd: number, raw: Buffer): number {
  return withStruct(raw.length, (bytes, address) => {
    raw.copy(bytes);
    return attempt(name, fd, address, raw.length);
  });
}

export function useAddress(name: "bind" | "connect", fd: number, raw: Buffer, about: string): void {
  const result = tryAddress(name, fd, raw);
  if (result < 0) throw new SyscallError(name, result, about);
}

/** An ioctl that answers with an int. */
export function ioctlInt(fd: number, request: number): number | undefined {
  return withStruct(4, (bytes, address) =>
    attempt("ioctl", fd, request, address) < 0 ? undefined : bytes.readInt32LE(0),
  );
}
