/** Socket options that carry state, by their own names. Buffer sizes are set apart, because reading gives twice what setting takes. */
import { IPPROTO, SOL } from "../../abi/socket.ts";

export interface Option {
  readonly level: number;
  readonly option: number;
  /** Size in bytes of what is not an int. */
  readonly size?: number;
}

const socketLevel = (option: number, size?: number): Option => ({
  level: SOL.SOL_SOCKET,
  option,
  ...(size && { size }),
});
const ip = (option: number): Option => ({ level: IPPROTO.IPPROTO_IP, option });
const ip6 = (option: number): Option => ({ level: IPPROTO.IPPROTO_IPV6, option });
const tcp = (option: number, size?: number): Option => ({ level: IPPROTO.IPPROTO_TCP, option, ...(size && { size }) });
const udp = (option: number): Option => ({ level: IPPROTO.IPPROTO_UDP, option });
const netlink = (option: number): Option => ({ level: SOL.SOL_NETLINK, option });

/** socket(7). Buffer sizes are set apart, because reading gives twice what setting takes. */
export const SOCKET_OPTIONS = {
  SO_REUSEADDR: socketLevel(2),
  SO_DONTROUTE: socketLevel(5),
  SO_BROADCAST: socketLevel(6),
  SO_KEEPALIVE: socketLevel(9),
  SO_OOBINLINE: socketLevel(10),
  SO_PRIORITY: socketLevel(12),
  SO_LINGER: socketLevel(13, 8),
  SO_REUSEPORT: socketLevel(15),
  SO_PASSCRED: socketLevel(16),
  SO_RCVLOWAT: socketLevel(18),
  SO_RCVTIMEO: socketLevel(20, 16),
  SO_SNDTIMEO: socketLevel(21, 16),
  SO_BINDTODEVICE: socketLevel(25, 16),
  SO_TIMESTAMP: socketLevel(29),
  SO_PASSSEC: socketLevel(34),
  SO_TIMESTAMPNS: socketLevel(35),
  SO_MARK: socketLevel(36),
  SO_TIMESTAMPING: socketLevel(37),
  SO_RXQ_OVFL: socketLevel(40),
  SO_PEEK_OFF: socketLevel(42),
  SO_NOFCS: socketLevel(43),
  SO_LOCK_FILTER: socketLevel(44),
  SO_SELECT_ERR_QUEUE: socketLevel(45),
  SO_BUSY_POLL: socketLevel(46),
  SO_MAX_PACING_RATE: socketLevel(47, 8),
  SO_INCOMING_CPU: socketLevel(49),
  SO_ZEROCOPY: socketLevel(60),
  SO_TXTIME: socketLevel(61, 8),
  SO_TIMESTAMP_NEW: socketLevel(63),
  SO_TIMESTAMPNS_NEW: socketLevel(64),
  SO_PREFER_BUSY_POLL: socketLevel(69),
  SO_BUF_LOCK: socketLevel(72),
  SO_RESERVE_MEM: socketLevel(73),
  SO_TXREHASH: socketLevel(74),
  SO_RCVMARK: socketLevel(75),
  SO_PASSPIDFD: socketLevel(76),
  SO_RCVPRIORITY: socketLevel(82),
  SO_PASSRIGHTS: socketLevel(83),
} as const satisfies Record<string, Option>;

/** ip(7). */
export const IP_OPTIONS = {
  IP_TOS: ip(1),
  IP_TTL: ip(2),
  IP_OPTIONS: { ...ip(4), size: 40 },
  IP_RECVOPTS: ip(6),
  IP_RETOPTS: ip(7),
  IP_PKTINFO: ip(8),
  IP_MTU_DISCOVER: ip(10),
  IP_RECVERR: ip(11),
  IP_RECVTTL: ip(12),
  IP_RECVTOS: ip(13),
  IP_FREEBIND: ip(15),
  IP_PASSSEC: ip(18),
  IP_TRANSPARENT: ip(19),
  IP_RECVORIGDSTADDR: ip(20),
  IP_MINTTL: ip(21),
  IP_NODEFRAG: ip(22),
  IP_CHECKSUM: ip(23),
  IP_BIND_ADDRESS_NO_PORT: ip(24),
  IP_RECVFRAGSIZE: ip(25),
  IP_RECVERR_RFC4884: ip(26),
  IP_UNICAST_IF: ip(50),
  IP_LOCAL_PORT_RANGE: ip(51),
} as const satisfies Record<string, Option>;

/** ipv6(7); IPV6_V6ONLY must be set before bind. */
export const IPV6_OPTIONS = {
  IPV6_2292PKTINFO: ip6(2),
  IPV6_2292HOPOPTS: ip6(3),
  IPV6_2292DSTOPTS: ip6(4),
  IPV6_2292RTHDR: ip6(5),
  IPV6_2292HOPLIMIT: ip6(8),
  IPV6_FLOWINFO: ip6(11),
  IPV6_UNICAST_HOPS: ip6(16),
  IPV6_MTU_DISCOVER: ip6(23),
  IPV6_RECVERR: ip6(25),
  IPV6_V6ONLY: ip6(26),
  IPV6_RECVERR_RFC4884: ip6(31),
  IPV6_FLOWINFO_SEND: ip6(33),
  IPV6_RECVPKTINFO: ip6(49),
  IPV6_RECVHOPLIMIT: ip6(51),
  IPV6_RECVHOPOPTS: ip6(53),
  IPV6_HOPOPTS: { ...ip6(54), size: 256 },
  IPV6_RTHDRDSTOPTS: { ...ip6(55), size: 256 },
  IPV6_RECVRTHDR: ip6(56),
  IPV6_RTHDR: { ...ip6(57), size: 256 },
  IPV6_RECVDSTOPTS: ip6(58),
  IPV6_DSTOPTS: { ...ip6(59), size: 256 },
  IPV6_RECVPATHMTU: ip6(60),
  IPV6_DONTFRAG: ip6(62),
  IPV6_RECVTCLASS: ip6(66),
  IPV6_TCLASS: ip6(67),
  IPV6_AUTOFLOWLABEL: ip6(70),
  IPV6_ADDR_PREFERENCES: ip6(72),
  IPV6_MINHOPCOUNT: ip6(73),
  IPV6_RECVORIGDSTADDR: ip6(74),
  IPV6_TRANSPARENT: ip6(75),
  IPV6_UNICAST_IF: ip6(76),
  IPV6_RECVFRAGSIZE: ip6(77),
  IPV6_FREEBIND: ip6(78),
} as const satisfies Record<string, Option>;

/** tcp(7). */
export const TCP_OPTIONS = {
  TCP_NODELAY: tcp(1),
  TCP_CORK: tcp(3),
  TCP_KEEPIDLE: tcp(4),
  TCP_KEEPINTVL: tcp(5),
  TCP_KEEPCNT: tcp(6),
  TCP_SYNCNT: tcp(7),
  TCP_LINGER2: tcp(8),
  TCP_DEFER_ACCEPT: tcp(9),
  TCP_WINDOW_CLAMP: tcp(10),
  TCP_QUICKACK: tcp(12),
  TCP_CONGESTION: tcp(13, 16),
  TCP_THIN_LINEAR_TIMEOUTS: tcp(16),
  TCP_USER_TIMEOUT: tcp(18),
  TCP_FASTOPEN: tcp(23),
  TCP_NOTSENT_LOWAT: tcp(25),
  TCP_SAVE_SYN: tcp(27),
  TCP_FASTOPEN_CONNECT: tcp(30),
  TCP_FASTOPEN_NO_COOKIE: tcp(34),
  TCP_INQ: tcp(36),
  TCP_TX_DELAY: tcp(37),
  TCP_RTO_MAX_MS: tcp(44),
  TCP_RTO_MIN_US: tcp(45),
  TCP_DELACK_MAX_US: tcp(46),
} as const satisfies Record<string, Option>;

/** Those that a connection has agreed on with its peer, and that a program chooses only before. */
export const TCP_FRESH_OPTIONS = { TCP_MAXSEG: tcp(2) } as const satisfies Record<string, Option>;

/** udp(7). What a corked socket has gathered cannot be read; a cork with nothing behind it is an option like others. */
export const UDP_OPTIONS = {
  UDP_CORK: udp(1),
  UDP_NO_CHECK6_TX: udp(101),
  UDP_NO_CHECK6_RX: udp(102),
  UDP_SEGMENT: udp(103),
  UDP_GRO: udp(104),
} as const satisfies Record<string, Option>;

/** udplite(7). */
export const UDPLITE_OPTIONS = {
  UDPLITE_SEND_CSCOV: { level: IPPROTO.IPPROTO_UDPLITE, option: 10 },
  UDPLITE_RECV_CSCOV: { level: IPPROTO.IPPROTO_UDPLITE, option: 11 },
} as const satisfies Record<string, Option>;

/** raw(7), icmp(7), ipv6(7). */
export const RAW_OPTIONS = {
  IP_HDRINCL: ip(3),
  IPV6_HDRINCL: ip6(36),
  ICMP_FILTER: { level: IPPROTO.IPPROTO_RAW, option: 1, size: 4 },
  ICMPV6_FILTER: { level: IPPROTO.IPPROTO_ICMPV6, option: 1, size: 32 },
  IPV6_CHECKSUM: { level: IPPROTO.IPPROTO_RAW, option: 7 },
} as const satisfies Record<string, Option>;

/** What datagrams have and streams do not. */
export const MULTICAST_OPTIONS = {
  IP_MULTICAST_IF: ip(32),
  IP_MULTICAST_TTL: ip(33),
  IP_MULTICAST_LOOP: ip(34),
  IP_MULTICAST_ALL: ip(49),
  IPV6_MULTICAST_IF: ip6(17),
  IPV6_MULTICAST_HOPS: ip6(18),
  IPV6_MULTICAST_LOOP: ip6(19),
  IPV6_MULTICAST_ALL: ip6(29),
} as const satisfies Record<string, Option>;

/** netlink(7). */
export const NETLINK_OPTIONS = {
  NETLINK_PKTINFO: netlink(3),
  NETLINK_BROADCAST_ERROR: netlink(4),
  NETLINK_NO_ENOBUFS: netlink(5),
  NETLINK_LISTEN_ALL_NSID: netlink(8),
  NETLINK_CAP_ACK: netlink(10),
  NETLINK_EXT_ACK: netlink(11),
  NETLINK_GET_STRICT_CHK: netlink(12),
} as const satisfies Record<string, Option>;

export const ALL_OPTIONS: Readonly<Record<string, Option>> = {
  ...SOCKET_OPTIONS,
  ...IP_OPTIONS,
  ...IPV6_OPTIONS,
  ...TCP_OPTIONS,
  ...TCP_FRESH_OPTIONS,
  ...UDP_OPTIONS,
  ...UDPLITE_OPTIONS,
  ...RAW_OPTIONS,
  ...MULTICAST_OPTIONS,
  ...NETLINK_OPTIONS,
};

export type Table = Readonly<Record<string, Option>>;
