/** Terminals: ioctl_tty(2) (include/uapi/asm-generic/ioctls.h, termbits.h). */
import { TTY } from "../abi/tty.ts";
import { attempt, call, withStruct } from "./call.ts";

export function ttyGetInt(fd: number, request: number): number {
  return withStruct(4, (bytes, address) => {
    call("ioctl", "Asking a terminal", fd, request, address);
    return bytes.readInt32LE(0);
  });
}

export function ttySetInt(fd: number, request: number, value: number): void {
  withStruct(4, (bytes, address) => {
    bytes.writeInt32LE(value, 0);
    call("ioctl", "Setting up a terminal", fd, request, address);
  });
}

export function ttyGet(fd: number, request: number, size: number): Buffer {
  return withStruct(size, (bytes, address) => {
    call("ioctl", "Asking a terminal", fd, request, address);
    return Buffer.from(bytes);
  });
}

export function ttySet(fd: number, request: number, value: Buffer): void {
  withStruct(value.length, (bytes, address) => {
    value.copy(bytes);
    call("ioctl", "Setting up a terminal", fd, request, address);
  });
}

/** Bytes that can be read; 0 where the question makes no sense. */
export function ttyQueued(fd: number): number {
  return withStruct(4, (bytes, address) => (attempt("ioctl", fd, TTY.TIOCINQ, address) < 0 ? 0 : bytes.readInt32LE(0)));
}
