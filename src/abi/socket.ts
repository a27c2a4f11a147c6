/** socket(2), socket(7): families, types, levels (include/uapi/asm-generic/socket.h, include/linux/socket.h). */

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
  SO_OOBINLINE: 10,
  SO_REUSEPORT: 15,
  SO_PASSCRED: 16,
  SO_PEERCRED: 17,
  SO_BINDTODEVICE: 25,
  /** The same number reads the filter: SO_GET_FILTER. */
  SO_ATTACH_FILTER: 26,
  SO_DETACH_FILTER: 27,
  SO_ACCEPTCONN: 30,
  SO_SNDBUFFORCE: 32,
  SO_RCVBUFFORCE: 33,
  SO_MARK: 36,
  SO_PROTOCOL: 38,
  SO_DOMAIN: 39,
  SO_PEEK_OFF: 42,
  SO_MEMINFO: 55,
  SO_COOKIE: 57,
  SO_PEERGROUPS: 59,
  SO_PEERPIDFD: 77,
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

/** ioctl(2) requests of sockets (sockios.h, asm-generic/ioctls.h). */
export const SIOCINQ = 0x541b;
export const SIOCOUTQ = 0x5411;

export function intBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}

/** The file that a unix socket was bound to, opened with O_PATH (include/uapi/linux/un.h). */
export const SIOCUNIXFILE = 0x89e0;

export const MCAST_JOIN_GROUP = 42;
export const MCAST_BLOCK_SOURCE = 43;
export const MCAST_JOIN_SOURCE_GROUP = 46;
export const SOCKADDR_STORAGE_SIZE = 128;
export const MCAST_MSFILTER = 48;
export const MCAST_INCLUDE = 1;
/** struct group_filter: interface, group, mode, number of sources. */
export const GROUP_FILTER = { GROUP: 8, MODE: 136, SOURCES: 140, SIZE: 144 } as const;
