/** socket(2), socket(7): families, types, levels (include/uapi/asm-generic/socket.h, include/linux/socket.h). */
import { attempt, SyscallError, withStruct } from "./call.ts";
import { ERRNO } from "./errno.ts";

export const AF = {
  AF_UNSPEC: 0,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_AX25: 3,
  AF_INET6: 10,
  AF_KEY: 15,
  AF_NETLINK: 16,
  AF_PACKET: 17,
  AF_RDS: 21,
  AF_PPPOX: 24,
  AF_CAN: 29,
  AF_TIPC: 30,
  AF_BLUETOOTH: 31,
  AF_ALG: 38,
  AF_NFC: 39,
  AF_VSOCK: 40,
  AF_KCM: 41,
  AF_QIPCRTR: 42,
  AF_SMC: 43,
  AF_XDP: 44,
  AF_MCTP: 45,
} as const;

export const SOCK = {
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_RDM: 4,
  SOCK_SEQPACKET: 5,
  SOCK_DCCP: 6,
  SOCK_PACKET: 10,
} as const;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;

export const IPPROTO = {
  IPPROTO_IP: 0,
  IPPROTO_ICMP: 1,
  IPPROTO_TCP: 6,
  IPPROTO_UDP: 17,
  IPPROTO_IPV6: 41,
  IPPROTO_ICMPV6: 58,
  IPPROTO_SCTP: 132,
  IPPROTO_UDPLITE: 136,
  IPPROTO_RAW: 255,
  IPPROTO_MPTCP: 262,
} as const;

export const SOL = { SOL_SOCKET: 1, SOL_NETLINK: 270 } as const;

/** Options of SOL_SOCKET that code asks for by name; the others stand in tables of their own. */
export const SO = {
  SO_TYPE: 3,
  SO_ERROR: 4,
  SO_REUSEADDR: 2,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_REUSEPORT: 15,
  SO_PASSCRED: 16,
  SO_PEERCRED: 17,
  SO_BINDTODEVICE: 25,
  SO_ACCEPTCONN: 30,
  SO_SNDBUFFORCE: 32,
  SO_RCVBUFFORCE: 33,
  SO_MARK: 36,
  SO_PROTOCOL: 38,
  SO_DOMAIN: 39,
  SO_PEEK_OFF: 42,
  SO_COOKIE: 57,
} as const;

export const MSG = {
  MSG_OOB: 1,
  MSG_PEEK: 2,
  MSG_CTRUNC: 8,
  MSG_TRUNC: 0x20,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_CMSG_CLOEXEC: 0x4000_0000,
} as const;

export const SHUT = { SHUT_RD: 0, SHUT_WR: 1, SHUT_RDWR: 2 } as const;

/** poll(2). */
export const POLL = { POLLIN: 1, POLLPRI: 2, POLLOUT: 4, POLLERR: 8, POLLHUP: 0x10, POLLRDHUP: 0x2000 } as const;

/** ioctl(2) requests of sockets (sockios.h, asm-generic/ioctls.h). */
export const SIOCINQ = 0x541b;
export const SIOCOUTQ = 0x5411;

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

export function intBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
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

/** What poll(2) says at once, without waiting. */
export function pollNow(fd: number, events: number): number {
  return withStruct(8, (bytes, address) => {
    bytes.writeInt32LE(fd, 0);
    bytes.writeInt16LE(events, 4);
    for (;;) {
      const result = attempt("poll", address, 1, 0);
      if (result >= 0) return bytes.readInt16LE(6);
      // A signal of ours came in between.
      if (result !== -ERRNO.EINTR) throw new SyscallError("poll", result, "Asking for the state of a socket");
    }
  });
}

/** An ioctl that answers with an int. */
export function ioctlInt(fd: number, request: number): number | undefined {
  return withStruct(4, (bytes, address) =>
    attempt("ioctl", fd, request, address) < 0 ? undefined : bytes.readInt32LE(0),
  );
}

/** The file that a unix socket was bound to, opened with O_PATH (include/uapi/linux/un.h). */
export const SIOCUNIXFILE = 0x89e0;
