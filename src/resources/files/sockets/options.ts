/** Socket options that carry state, as a table: read at the freeze, set at the thaw, by their own names. */
import * as v from "valibot";
import { getInt, getOption, IPPROTO, setOption, SO, SOL, trySetOption, intBytes, AF } from "../../../abi/socket.ts";
import { SyscallError } from "../../../abi/call.ts";
import type { LocalFd } from "../../../lib/brand.ts";

/** Values by option name: ints as numbers, everything else in hexadecimal. */
export const optionsSchema = v.record(v.string(), v.union([v.number(), v.string()]));
export type Options = v.InferOutput<typeof optionsSchema>;

interface Option {
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

const ALL: Readonly<Record<string, Option>> = {
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

type Table = Readonly<Record<string, Option>>;

const fresh = new Map<string, Options>();

/** What a new socket of the same sort has: only what differs from it is state. `make` opens one. */
export function freezeOptions(
  fd: LocalFd,
  tables: readonly Table[],
  sort: string,
  make: () => LocalFd,
  close: (fd: LocalFd) => void,
): Options {
  let usual = fresh.get(sort);
  if (!usual) {
    const example = make();
    usual = readOptions(example, tables);
    close(example);
    fresh.set(sort, usual);
  }
  const now = readOptions(fd, tables);
  return Object.fromEntries(Object.entries(now).filter(([name, value]) => usual[name] !== value));
}

function readOptions(fd: LocalFd, tables: readonly Table[]): Options {
  const options: Options = {};
  for (const table of tables) {
    for (const [name, { level, option, size }] of Object.entries(table)) {
      if (size === undefined) {
        const value = getInt(fd, level, option);
        if (value !== undefined) options[name] = value;
      } else {
        const value = getOption(fd, level, option, size);
        if (value) options[name] = value.toString("hex");
      }
    }
  }
  for (const [name, option] of [
    ["SO_SNDBUF", SO.SO_SNDBUF],
    ["SO_RCVBUF", SO.SO_RCVBUF],
  ] as const) {
    const value = getInt(fd, SOL.SOL_SOCKET, option);
    if (value !== undefined) options[name] = value;
  }
  return options;
}

/** Options that stand in the way while a socket is bound, connected and filled, or that only then mean something. */
const LATE: ReadonlySet<string> = new Set([
  // IP_TOS sets it too.
  "SO_PRIORITY",
  "SO_PEEK_OFF",
  "SO_RCVLOWAT",
  "SO_SNDTIMEO",
  "SO_RCVTIMEO",
  "SO_SNDBUF",
  "SO_RCVBUF",
  "TCP_DEFER_ACCEPT",
  "TCP_CORK",
  "UDP_CORK",
  "TCP_QUICKACK",
  "SO_LOCK_FILTER",
  "SO_BUF_LOCK",
  "SO_PASSCRED",
  "SO_PASSPIDFD",
]);

/** Sets the options of one stage: `early` before bind, `late` when queues are filled. */
export function thawOptions(
  fd: LocalFd,
  options: Options,
  stage: "early" | "late",
  skip: readonly string[] = [],
): void {
  for (const [name, value] of Object.entries(options)) {
    if (LATE.has(name) !== (stage === "late") || skip.includes(name)) continue;
    if (name === "SO_SNDBUF" || name === "SO_RCVBUF") setBufferSize(fd, name, Number(value));
    else if (name !== "SO_BUF_LOCK") setOne(fd, name, value);
  }
  // Setting a size fixes it, where the kernel may have been adapting it. Kernels before 5.16 cannot be told otherwise.
  const { level, option } = SOCKET_OPTIONS.SO_BUF_LOCK;
  if (stage === "late") trySetOption(fd, level, option, intBytes(Number(options["SO_BUF_LOCK"] ?? 0)));
}

function setOne(fd: LocalFd, name: string, value: number | string): void {
  const known = ALL[name];
  if (!known) throw new RangeError(`unknown socket option ${name}`);
  let bytes = typeof value === "number" ? intBytes(value) : Buffer.from(value, "hex");
  if (name === "SO_RCVLOWAT" && bytes.readInt32LE(0) === 0) bytes = intBytes(1);
  setOption(fd, known.level, known.option, bytes, `Setting ${name} to ${value}`);
}

/** The kernel doubles what is set (socket(7)), and the …FORCE form goes past the system's limit. */
export function setBufferSize(fd: LocalFd, name: "SO_SNDBUF" | "SO_RCVBUF", shown: number): void {
  const forced = trySetOption(fd, SOL.SOL_SOCKET, SO[`${name}FORCE`], intBytes(shown / 2));
  if (forced >= 0) return;
  const result = trySetOption(fd, SOL.SOL_SOCKET, SO[name], intBytes(shown / 2));
  if (result < 0) throw new SyscallError("setsockopt", result, `Setting ${name}`);
}

/** Tables for a family; an IPv6 socket has the options of IPv4 as well. */
export function familyOptions(family: number): readonly Table[] {
  if (family === AF.AF_INET) return [SOCKET_OPTIONS, IP_OPTIONS];
  if (family === AF.AF_INET6) return [SOCKET_OPTIONS, IP_OPTIONS, IPV6_OPTIONS];
  return [SOCKET_OPTIONS];
}
