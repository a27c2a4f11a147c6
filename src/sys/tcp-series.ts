/** All that is asked of a TCP connection, in as few goes as can be: `sys/tcp.ts` tells of it bit by bit. */
import { IPPROTO, SIOCINQ, SIOCOUTQ } from "../abi/socket.ts";
import {
  QUEUE,
  SIOCOUTQNSD,
  TCP,
  TCP_INFO_SIZE,
  type TcpInfo,
  type TcpWindow,
  parseTcpInfo,
  parseWindow,
} from "../abi/tcp.ts";
import { SocketSeries, type SocketStep } from "./socket-series.ts";

const level = IPPROTO.IPPROTO_TCP;
const option = (name: number, size = 4): SocketStep => ({ ask: "option", level, option: name, size });
const ioctl = (request: number): SocketStep => ({ ask: "ioctl", request });
const tell = (name: number, value: number): SocketStep => ({ tell: "option", level, option: name, value });

const OUTSIDE = [option(TCP.TCP_INFO, TCP_INFO_SIZE), ioctl(SIOCINQ), ioctl(SIOCOUTQ), ioctl(SIOCOUTQNSD)];
const INSIDE = [
  option(TCP.TCP_MAXSEG),
  option(TCP.TCP_TIMESTAMP),
  option(TCP.TCP_REPAIR_WINDOW, 20),
  tell(TCP.TCP_REPAIR_QUEUE, QUEUE.RECEIVE),
  option(TCP.TCP_QUEUE_SEQ),
  tell(TCP.TCP_REPAIR_QUEUE, QUEUE.SEND),
  option(TCP.TCP_QUEUE_SEQ),
];
let outside: SocketSeries | undefined;
let inside: SocketSeries | undefined;

/** What can be seen without repair mode; the three numbers are of bytes. */
export function readOutside(fd: number): {
  readonly info: TcpInfo;
  readonly unread: number;
  readonly unacknowledged: number;
  readonly notSent: number;
} {
  outside ??= new SocketSeries(OUTSIDE);
  outside.run(fd);
  const info = parseTcpInfo(outside.bytes(0)) as TcpInfo;
  const [unread = 0, unacknowledged = 0, notSent = 0] = [1, 2, 3].map((i) => outside?.int(i));
  return { info, unread, unacknowledged, notSent };
}

/** What can be seen in repair mode, which it must be in. The queue for sending stays chosen. */
export function readInside(fd: number): {
  /** The largest segment that was agreed on. */
  readonly mss: number;
  readonly timestamp: number;
  readonly window: TcpWindow;
  /** Sequence numbers behind the last byte of each queue. */
  readonly receiveEnd: number;
  readonly sendEnd: number;
} {
  inside ??= new SocketSeries(INSIDE);
  inside.run(fd);
  inside.expect("Looking into a TCP connection");
  return {
    mss: inside.int(0) ?? 536,
    timestamp: (inside.int(1) ?? 0) >>> 0,
    window: parseWindow(inside.bytes(2)),
    receiveEnd: (inside.int(4) ?? 0) >>> 0,
    sendEnd: (inside.int(6) ?? 0) >>> 0,
  };
}
