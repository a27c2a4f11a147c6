/** tcp(7), and its repair mode, which has no manual page (include/uapi/linux/tcp.h; net/ipv4/tcp.c). */

export const TCP = {
  TCP_MAXSEG: 2,
  TCP_INFO: 11,
  TCP_REPAIR: 19,
  TCP_REPAIR_QUEUE: 20,
  TCP_QUEUE_SEQ: 21,
  TCP_REPAIR_OPTIONS: 22,
  TCP_TIMESTAMP: 24,
  TCP_REPAIR_WINDOW: 29,
  TCP_ULP: 31,
} as const;

export const { TCP_REPAIR } = TCP;

/** include/net/tcp_states.h */
export const TCP_STATE = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
} as const;

export const QUEUE = { NONE: 0, RECEIVE: 1, SEND: 2 } as const;
/** Leaving repair mode: with a window probe to the peer, or without a packet. */
export const LEAVE = { PROBE: 0, SILENT: -1 } as const;
export const OPTION = { MSS: 2, WINDOW: 3, SACK_PERMITTED: 4, TIMESTAMP: 8 } as const;
const INFO = { TIMESTAMPS: 1, SACK: 2, WSCALE: 4 } as const;

export interface TcpInfo {
  readonly state: number;
  readonly timestamps: boolean;
  readonly sack: boolean;
  /** Shifts of the window, when both sides scale. */
  readonly windowScale: { readonly send: number; readonly receive: number } | undefined;
  /** Of a listening socket: connections that wait to be accepted, and the most that may. */
  readonly waiting: number;
  readonly backlog: number;
}

/** As much of struct tcp_info as every kernel has (5.10 and before). */
export const TCP_INFO_SIZE = 104;
/** Offsets in struct tcp_info, and its size up to the last of them that is used. */
export const TCP_INFO = {
  STATE: 0,
  OPTIONS: 5,
  WSCALE: 6,
  UNACKED: 24,
  SACKED: 28,
  TOTAL_RETRANS: 100,
  BYTES_ACKED: 120,
  SEGS_IN: 140,
  DATA_SEGS_IN: 152,
  BYTES_SENT: 200,
  SIZE: 232,
} as const;

export function parseTcpInfo(info: Buffer | undefined): TcpInfo | undefined {
  if (!info || info.length < 32) return undefined;
  const options = info[TCP_INFO.OPTIONS] as number;
  const scales = info[TCP_INFO.WSCALE] as number;
  return {
    state: info[TCP_INFO.STATE] as number,
    timestamps: (options & INFO.TIMESTAMPS) !== 0,
    sack: (options & INFO.SACK) !== 0,
    windowScale: (options & INFO.WSCALE) === 0 ? undefined : { send: scales & 15, receive: scales >> 4 },
    waiting: info.readUInt32LE(TCP_INFO.UNACKED),
    backlog: info.readUInt32LE(TCP_INFO.SACKED),
  };
}

/** Whether the peer has sent data, or has said that it got some of ours, since this socket was made. */
export function hasHeardPeer(info: Buffer | undefined): boolean {
  if (!info || info.length < TCP_INFO.DATA_SEGS_IN + 4) return false;
  return info.readBigUInt64LE(TCP_INFO.BYTES_ACKED) > 0n || info.readUInt32LE(TCP_INFO.DATA_SEGS_IN) > 0;
}

export interface TcpWindow {
  readonly snd_wl1: number;
  readonly snd_wnd: number;
  readonly max_window: number;
  readonly rcv_wnd: number;
  readonly rcv_wup: number;
}
export const WINDOW = ["snd_wl1", "snd_wnd", "max_window", "rcv_wnd", "rcv_wup"] as const;

export function parseWindow(bytes: Buffer | undefined): TcpWindow {
  return Object.fromEntries(WINDOW.map((name, i) => [name, bytes?.readUInt32LE(i * 4) ?? 0])) as unknown as TcpWindow;
}

/** MAX_TCP_WINDOW: the most that TCP_MAXSEG takes. */
export const MOST_SEGMENT = 32_767;

/** Bytes of the send queue that were never sent (SIOCOUTQNSD, linux/sockios.h). */
export const SIOCOUTQNSD = 0x894b;

/** struct tcp_diag_md5sig: family, prefix, length of the key, address, key. */
export const DIAG_MD5SIG = { KEY_LENGTH: 2, ADDRESS: 4, KEY: 20, SIZE: 100 } as const;
export const TCP_MD5SIG_EXT = 32;
export const TCP_MD5SIG_FLAG_PREFIX = 1;
/** struct tcp_md5sig */
export const MD5SIG = { FLAGS: 128, PREFIX: 129, KEY_LENGTH: 130, KEY: 136, SIZE: 216 } as const;
/** Answers ENOENT on a socket without TCP-AO (RFC 5925), ENOPROTOOPT on a kernel without. */
export const TCP_AO_INFO = 40;
