/** tcp(7), and its repair mode, which has no manual page (include/uapi/linux/tcp.h; net/ipv4/tcp.c). */
import { IPPROTO, SO, SOL, intBytes } from "../abi/socket.ts";
import {
  MOST_SEGMENT,
  OPTION,
  TCP,
  TCP_INFO_SIZE,
  type TcpInfo,
  type TcpWindow,
  WINDOW,
  parseTcpInfo,
} from "../abi/tcp.ts";
import { call } from "./call.ts";
import { getInt, getOption, setInt, setOption, trySetOption } from "./socket.ts";

export function isInRepair(fd: number): boolean {
  return getInt(fd, level, TCP.TCP_REPAIR) === 1;
}
const level = IPPROTO.IPPROTO_TCP;

export function tcpInfo(fd: number): TcpInfo | undefined {
  return parseTcpInfo(getOption(fd, level, TCP.TCP_INFO, TCP_INFO_SIZE));
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

/** It hears nothing more (SHUT_RD), though the peer may speak on. */
export function shutdownReading(fd: number): void {
  call("shutdown", "Closing one half of a connection", fd, 0);
}

export function shutdownWriting(fd: number): void {
  call("shutdown", "Closing one half of a connection", fd, 1);
}
