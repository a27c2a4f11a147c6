/** tcp(7), and its repair mode, which has no manual page (include/uapi/linux/tcp.h; net/ipv4/tcp.c). */
import { call } from "./call.ts";
import { getInt, getOption, IPPROTO, setInt, setOption, SO, SOL, trySetOption, intBytes } from "./socket.ts";

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

export function isInRepair(fd: number): boolean {
  return getInt(fd, level, TCP.TCP_REPAIR) === 1;
}

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
const OPTION = { MSS: 2, WINDOW: 3, SACK_PERMITTED: 4, TIMESTAMP: 8 } as const;
const INFO = { TIMESTAMPS: 1, SACK: 2, WSCALE: 4 } as const;
const level = IPPROTO.IPPROTO_TCP;

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

export function tcpInfo(fd: number): TcpInfo | undefined {
  return parseTcpInfo(getOption(fd, level, TCP.TCP_INFO, TCP_INFO_SIZE));
}

export const TCP_INFO_SIZE = 104;

export function parseTcpInfo(info: Buffer | undefined): TcpInfo | undefined {
  if (!info || info.length < 32) return undefined;
  const options = info[5] as number;
  const scales = info[6] as number;
  return {
    state: info[0] as number,
    timestamps: (options & INFO.TIMESTAMPS) !== 0,
    sack: (options & INFO.SACK) !== 0,
    windowScale: (options & INFO.WSCALE) === 0 ? undefined : { send: scales & 15, receive: scales >> 4 },
    waiting: info.readUInt32LE(24),
    backlog: info.readUInt32LE(28),
  };
}

const BYTES_ACKED_AT = 120;
const DATA_SEGMENTS_IN_AT = 152;

/** Whether the peer has sent data, or has said that it got some of ours, since this socket was made. */
export function hasHeardPeer(info: Buffer | undefined): boolean {
  if (!info || info.length < DATA_SEGMENTS_IN_AT + 4) return false;
  return info.readBigUInt64LE(BYTES_ACKED_AT) > 0n || info.readUInt32LE(DATA_SEGMENTS_IN_AT) > 0;
}

/** The upper-layer protocol of a socket (kTLS and the like), if one was attached. */
export function upperLayer(fd: number): string | undefined {
  const name = getOption(fd, level, TCP.TCP_ULP, 16)?.toString("latin1").replace(/\0.*$/s, "");
  return name === "" ? undefined : name;
}

export function enterRepair(fd: number): void {
  setInt(fd, level, TCP.TCP_REPAIR, 1, "Looking into a TCP connection");
}

/** Leaves repair mode. The kernel forgets SO_REUSEADDR in it. */
export function leaveRepair(fd: number, how: number, reuseAddress: number): void {
  setInt(fd, level, TCP.TCP_REPAIR, how, "Letting a TCP connection go on");
  if (reuseAddress !== 0) trySetOption(fd, SOL.SOL_SOCKET, SO.SO_REUSEADDR, intBytes(reuseAddress));
}

export function chooseQueue(fd: number, queue: number): void {
  setInt(fd, level, TCP.TCP_REPAIR_QUEUE, queue, "Choosing a queue of a TCP connection");
}

export function setQueueEnd(fd: number, sequence: number): void {
  setInt(fd, level, TCP.TCP_QUEUE_SEQ, sequence | 0, "Setting a sequence number");
}

export interface TcpWindow {
  readonly snd_wl1: number;
  readonly snd_wnd: number;
  readonly max_window: number;
  readonly rcv_wnd: number;
  readonly rcv_wup: number;
}
const WINDOW = ["snd_wl1", "snd_wnd", "max_window", "rcv_wnd", "rcv_wup"] as const;

export function parseWindow(bytes: Buffer | undefined): TcpWindow {
  return Object.fromEntries(WINDOW.map((name, i) => [name, bytes?.readUInt32LE(i * 4) ?? 0])) as unknown as TcpWindow;
}

export function setWindow(fd: number, window: TcpWindow): void {
  const bytes = Buffer.alloc(20);
  WINDOW.forEach((name, i) => bytes.writeUInt32LE(window[name] >>> 0, i * 4));
  setOption(fd, level, TCP.TCP_REPAIR_WINDOW, bytes, "Setting the window of a TCP connection");
}

export function setTimestamp(fd: number, value: number): void {
  setInt(fd, level, TCP.TCP_TIMESTAMP, value | 0, "Setting the clock of a TCP connection");
}

interface Agreed {
  readonly windowScale?: TcpInfo["windowScale"];
  readonly sack: boolean;
  readonly timestamps: boolean;
}

/** MAX_TCP_WINDOW: the most that TCP_MAXSEG takes. */
const MOST_SEGMENT = 32_767;

/**
 * How large segments are the kernel works out as it connects, and by what was agreed on later only when something else
 * changes: it must be told before. To be called with `undefined` afterwards.
 */
export function limitSegments(fd: number, mss: number | undefined): void {
  setInt(fd, level, TCP.TCP_MAXSEG, Math.min(mss ?? 0, MOST_SEGMENT), "Setting the size of segments");
}

/** What both sides agreed on with their SYN packets. */
export function setAgreed(fd: number, mss: number, agreed: Agreed): void {
  const pairs: [number, number][] = [[OPTION.MSS, mss]];
  if (agreed.windowScale) pairs.push([OPTION.WINDOW, agreed.windowScale.send | (agreed.windowScale.receive << 16)]);
  if (agreed.sack) pairs.push([OPTION.SACK_PERMITTED, 0]);
  if (agreed.timestamps) pairs.push([OPTION.TIMESTAMP, 0]);
  const bytes = Buffer.alloc(pairs.length * 8);
  pairs.forEach(([code, value], i) => {
    bytes.writeUInt32LE(code, i * 8);
    bytes.writeUInt32LE(value >>> 0, i * 8 + 4);
  });
  setOption(fd, level, TCP.TCP_REPAIR_OPTIONS, bytes, "Setting what a TCP connection agreed on");
}

/** Bytes of the send queue that were never sent (SIOCOUTQNSD, linux/sockios.h). */
export const SIOCOUTQNSD = 0x894b;

/** It hears nothing more (SHUT_RD), though the peer may speak on. */
export function shutdownReading(fd: number): void {
  call("shutdown", "Closing one half of a connection", fd, 0);
}

export function shutdownWriting(fd: number): void {
  call("shutdown", "Closing one half of a connection", fd, 1);
}
