/** Putting a TCP connection back together: in repair mode connect(2) sends nothing, and queues are filled by hand. */
import { trySend } from "../../../sys/message.ts";
import { TCP_FLAG } from "../../../abi/packet.ts";
import { type Segment, injectSegment } from "../../../sys/packet.ts";
import { SyscallError } from "../../../sys/call.ts";
import { inetAddress } from "../../../abi/sockaddr.ts";
import { AF, MSG, SO, SOL } from "../../../abi/socket.ts";
import { getInt, useAddress } from "../../../sys/socket.ts";
import { LEAVE, QUEUE } from "../../../abi/tcp.ts";
import {
  chooseQueue,
  enterRepair,
  leaveRepair,
  limitSegments,
  setAgreed,
  setQueueEnd,
  setTimestamp,
  setWindow,
  shutdownReading,
  shutdownWriting,
} from "../../../sys/tcp.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { ThawContext } from "../../thaw-context.ts";
import { thawFilter } from "../filter.ts";
import { setBufferSize, thawOptions } from "../options.ts";
import { endLasting } from "../quarantine/quarantine.ts";
import { isPlainV4, PASS_MARK } from "../quarantine/rules.ts";
import { takeUrgent } from "./urgent.ts";
import { thawKeys } from "./md5.ts";
import type { TcpState } from "./connection.ts";
import { announce, notifyPeer } from "./notify-peer.ts";

type StateName = TcpState["state"];
const WE_ENDED: readonly StateName[] = ["FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK"];
export const PEER_ENDED: readonly StateName[] = ["CLOSE_WAIT", "CLOSING", "LAST_ACK"];
const LARGE_BUFFER = 128 * 1024 * 1024;
const CHUNK = 64 * 1024;
/** Any device takes packets of this size. */
const CHUNK_URGENT = 1024;
/** What the kernel works out for a connection by itself. */
const DERIVED = ["TCP_WINDOW_CLAMP", "SO_REUSEADDR"];

export function thawConnection(state: TcpState, context: ThawContext, fd: LocalFd, about: string): void {
  const sent = state.sendQueue === undefined ? Buffer.alloc(0) : context.blob(state.sendQueue);
  const received = state.receiveQueue === undefined ? Buffer.alloc(0) : context.blob(state.receiveQueue);
  // In repair mode from the first moment: closing it, should the thaw fail, sends nothing.
  enterRepair(fd);
  thawOptions(fd, state.options, "early", DERIVED);
  const sizes = (["SO_SNDBUF", "SO_RCVBUF"] as const).map(
    (name) => [name, getInt(fd, SOL.SOL_SOCKET, SO[name]) ?? 0] as const,
  );
  for (const [name] of sizes) setBufferSize(fd, name, LARGE_BUFFER);
  thawKeys(fd, state.md5Keys);
  // Listening sockets are bound by now; bound twice in repair mode is no conflict.
  const start = { send: startOfSend(state, sent.length), receive: startOfReceive(state, received.length) };
  context.during("establish", () => establish(state, fd, start, about));
  context.during("fill", () => {
    const mark = state.urgent?.at ?? received.length;
    fillQueue(fd, QUEUE.RECEIVE, received.subarray(0, mark), about);
    fillQueue(fd, QUEUE.SEND, sent.subarray(0, sent.length - state.unsent), about);
    if (state.urgent) pretendUrgent(state, (start.receive + mark) >>> 0, start.send, received.subarray(mark));
    if (state.urgent?.taken) takeUrgent(fd);
    closeHalves(state, fd, start.send);
    setWindow(fd, state.window);
    // With more room than it had, the window would open.
    for (const [name, size] of sizes)
      if (name === "SO_RCVBUF") setBufferSize(fd, name, Number(state.options[name] ?? size));
  });
  context.during("arm", () => {
    if (state.quarantine !== undefined) endLasting(context, state.quarantine);
    const probe = state.quarantine !== undefined && state.unsent === 0;
    if (state.quarantine !== undefined) announce(state, context);
    leaveRepair(fd, probe ? LEAVE.PROBE : LEAVE.SILENT, Number(state.options["SO_REUSEADDR"] ?? 0));
    if ("TCP_CORK" in state.options) thawOptions(fd, { TCP_CORK: state.options["TCP_CORK"] ?? 0 }, "late");
    sendAll(fd, sent.subarray(sent.length - state.unsent), about);
    if (state.unsent > 0 && WE_ENDED.includes(state.state)) shutdownWriting(fd);
    for (const [name, size] of sizes) setBufferSize(fd, name, size);
    if (state.receiveShutdown) shutdownReading(fd);
    thawFilter(fd, state.filter);
    thawOptions(fd, state.options, "late");
    if (state.quarantine !== undefined) notifyPeer(state, context);
  });
}

function startOfSend({ state, sendEnd }: TcpState, length: number): number {
  return (sendEnd - length - (WE_ENDED.includes(state) ? 1 : 0)) >>> 0;
}

function startOfReceive({ state, receiveEnd }: TcpState, length: number): number {
  return (receiveEnd - length - (PEER_ENDED.includes(state) ? 1 : 0)) >>> 0;
}

function establish(state: TcpState, fd: LocalFd, start: { send: number; receive: number }, about: string): void {
  const family = AF[state.family];
  chooseQueue(fd, QUEUE.SEND);
  setQueueEnd(fd, start.send);
  chooseQueue(fd, QUEUE.RECEIVE);
  setQueueEnd(fd, start.receive);
  useAddress("bind", fd, inetAddress(family, state.local), `Binding ${about}`);
  limitSegments(fd, state.mss);
  useAddress("connect", fd, inetAddress(family, state.remote), `Connecting ${about}`);
  limitSegments(fd, undefined);
  setAgreed(fd, state.mss, state);
  if (state.timestamps) setTimestamp(fd, state.timestamp);
}

function fillQueue(fd: LocalFd, queue: number, bytes: Buffer, about: string): void {
  if (bytes.length === 0) return;
  chooseQueue(fd, queue);
  sendAll(fd, bytes, about);
}

function sendAll(fd: LocalFd, bytes: Buffer, about: string): void {
  for (let done = 0; done < bytes.length;) {
    const taken = trySend(fd, bytes.subarray(done, done + CHUNK), [], undefined, MSG.MSG_DONTWAIT);
    if (taken <= 0) throw new SyscallError("sendmsg", taken, `Filling ${about}`);
    done += taken;
  }
}

/**
 * Each FIN in its order. Ours is made by shutdown(2); the peer's, and its acknowledgement of ours, can only be received.
 * A FIN of ours behind bytes that were never sent follows them when the connection goes on.
 */
function closeHalves(state: TcpState, fd: LocalFd, unacknowledged: number): void {
  const ours = (): void => {
    if (state.unsent > 0) return;
    chooseQueue(fd, QUEUE.SEND);
    shutdownWriting(fd);
  };
  const finAt = (state.receiveEnd - 1) >>> 0;
  switch (state.state) {
    case "ESTABLISHED":
      return;
    case "CLOSE_WAIT":
      pretend(state, finAt, unacknowledged, TCP_FLAG.FIN | TCP_FLAG.ACK);
      return;
    case "FIN_WAIT1":
      ours();
      return;
    case "FIN_WAIT2":
      ours();
      pretend(state, state.receiveEnd, state.sendEnd, TCP_FLAG.ACK);
      return;
    case "CLOSING":
      ours();
      pretend(state, finAt, unacknowledged, TCP_FLAG.FIN | TCP_FLAG.ACK);
      return;
    case "LAST_ACK":
      pretend(state, finAt, unacknowledged, TCP_FLAG.FIN | TCP_FLAG.ACK);
      ours();
  }
}

/** The rest of what was received, from the urgent byte on. */
function pretendUrgent(state: TcpState, from: number, acknowledged: number, rest: Buffer): void {
  for (let done = 0; done < rest.length; done += CHUNK_URGENT) {
    const data = rest.subarray(done, done + CHUNK_URGENT);
    const first = done === 0;
    const flags = TCP_FLAG.ACK | (first ? TCP_FLAG.URG : 0);
    pretend(state, (from + done) >>> 0, acknowledged, flags, { data, ...(first && { urgent: 1 }) });
  }
}

/** A segment as the peer would send it. It must not acknowledge what the peer may not have got. */
function pretend(
  state: TcpState,
  sequence: number,
  acknowledged: number,
  flags: number,
  more: Pick<Segment, "data" | "urgent"> = {},
): void {
  const v4 = isPlainV4(state.local.address);
  const plain = (end: Segment["from"]): Segment["from"] => ({
    ...end,
    address: v4 ? end.address.replace("::ffff:", "") : end.address,
  });
  injectSegment(
    v4 ? AF.AF_INET : AF.AF_INET6,
    { from: plain(state.remote), to: plain(state.local), sequence, acknowledged, flags, window: 0xffff, ...more },
    PASS_MARK,
  );
}
