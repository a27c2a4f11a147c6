/** All TCP connections of the frozen set together, at one moment. */
import { failures } from "../../../errors/catalogue.ts";
import { NativeBuffer } from "../../../sys/ffi.unsafe.ts";
import { receive } from "../../../sys/message.ts";
import { SyscallError } from "../../../sys/call.ts";
import { MSG, SO, SOL } from "../../../abi/socket.ts";
import { getInt } from "../../../sys/socket.ts";
import { LEAVE, QUEUE, TCP_STATE, type TcpInfo, type TcpWindow } from "../../../abi/tcp.ts";
import { chooseQueue, enterRepair, leaveRepair } from "../../../sys/tcp.ts";
import { readInside, readOutside } from "../../../sys/tcp-series.ts";
import { nameOf } from "../../../lib/flags.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { FreezeContext, OpenFile } from "../../freeze-context.ts";
import { connectionFlows, quarantineScope } from "../quarantine/scope.ts";
import { RepairGuard } from "./repair-guard.x86_64.ts";
import { flowKey, once, turned } from "../inet-snapshot.ts";
import type { Flow } from "../quarantine/rules.ts";
import { sleepMicroseconds } from "../../../tracee/stops.ts";

/** One side of a connection, as the kernel has it. */
interface TcpSnapshot {
  readonly info: TcpInfo;
  readonly mss: number;
  readonly timestamp: number;
  readonly window: TcpWindow;
  /** Sequence numbers behind the last byte of each queue; a FIN counts as one. */
  readonly sendEnd: number;
  readonly receiveEnd: number;
  readonly unsent: number;
  readonly sent: Buffer;
  readonly received: Buffer;
}

export interface SeenConnection {
  readonly flow: Flow;
  readonly snapshot: TcpSnapshot;
  readonly reuseAddress: number;
  /** The rules that stay when the process has gone, if the peer is not in the set. */
  readonly quarantine: string | undefined;
}

/** A FIN of ours stands at the end of what was sent. */
const WE_ENDED: readonly string[] = ["FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "TIME_WAIT"];
const ATTEMPTS = 200;
const PAUSE_US = 1000;

/** Those of the network namespace that this thread is in. */
export function lookAtConnections(context: FreezeContext): ReadonlyMap<bigint, SeenConnection> {
  return once(context, "connections", () => look(context));
}

function look(context: FreezeContext): ReadonlyMap<bigint, SeenConnection> {
  const { all: flows, outside } = connectionFlows(context);
  const quarantine = quarantineScope(context);
  const away = new Set(outside.map(([file]) => file));
  const connections = [...flows].map(([file, flow]) => ({
    file,
    flow,
    reuseAddress: getInt(file.local, SOL.SOL_SOCKET, SO.SO_REUSEADDR) ?? 0,
    quarantine: away.has(file) ? quarantine?.lasting : undefined,
  }));
  const snapshots = atOneMoment(connections);
  const byFlow = new Map(connections.map(({ flow }, i) => [flowKey(flow), snapshots[i] as TcpSnapshot]));
  const seen = new Map(
    connections.map(({ file, flow, reuseAddress, quarantine: lasting }, i) => {
      const snapshot = arrived(snapshots[i] as TcpSnapshot, byFlow.get(flowKey(turned(flow))));
      return [file.stat.inode, { flow, snapshot, reuseAddress, quarantine: lasting }];
    }),
  );
  guardTheEnd(context, connections);
  for (const { file, reuseAddress } of connections)
    context.beforeKill(() => closeWithoutSending(file.local, reuseAddress));
  return seen;
}

/**
 * What the other end in the set has got counts as acknowledged, and all else as never sent: then nobody waits for a timer
 * of the old kernel, where an acknowledgement was on its way or the kernel had put sending off.
 */
function arrived(snapshot: TcpSnapshot, other: TcpSnapshot | undefined): TcpSnapshot {
  if (!other) return snapshot;
  const fin = Number(WE_ENDED.includes(nameOf(TCP_STATE, snapshot.info.state) ?? ""));
  const missing = Math.max(((snapshot.sendEnd - other.receiveEnd) | 0) - fin, 0);
  const sent = snapshot.sent.subarray(Math.max(snapshot.sent.length - missing, 0));
  return { ...snapshot, sent, unsent: sent.length };
}

/** From the moment when they enter repair mode until their programs have ended. */
function guardTheEnd(context: FreezeContext, connections: readonly { file: OpenFile; reuseAddress: number }[]): void {
  const sockets = connections.map(({ file: { local: fd }, reuseAddress }) => ({ fd, reuseAddress }));
  let guard: RepairGuard | undefined;
  const end = (): void => guard?.[Symbol.dispose]();
  context.beforeKill(() => {
    guard = new RepairGuard(sockets);
    return end;
  });
  context.afterKill(end);
}

/** In repair mode close(2) sends nothing. Entered only now, so that whatever happens before harms nobody. */
export function closeWithoutSending(fd: LocalFd, reuseAddress: number): () => void {
  enterRepair(fd);
  return () => leaveRepair(fd, LEAVE.SILENT, reuseAddress);
}

/**
 * Both ends of a connection inside the set keep talking, kernel to kernel, until all data has arrived where it can.
 * Two readings that are the same mean that nothing moved in between: together they are one moment.
 */
function atOneMoment(connections: readonly { file: OpenFile; reuseAddress: number }[]): TcpSnapshot[] {
  if (connections.length === 0) return [];
  using _ = new RepairGuard(connections.map(({ file: { local: fd }, reuseAddress }) => ({ fd, reuseAddress })));
  const read = (): TcpSnapshot[] => connections.map(({ file, reuseAddress }) => snapshotOf(file.local, reuseAddress));
  let last = read();
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const now = read();
    if (now.every((snapshot, i) => isSame(snapshot, last[i] as TcpSnapshot))) return now;
    last = now;
    sleepMicroseconds(PAUSE_US);
  }
  throw failures.TCP_RESTLESS({ file: (connections[0] as { file: OpenFile }).file });
}

function isSame(a: TcpSnapshot, b: TcpSnapshot): boolean {
  return (
    a.info.state === b.info.state &&
    a.sendEnd === b.sendEnd &&
    a.receiveEnd === b.receiveEnd &&
    a.sent.length === b.sent.length &&
    a.received.length === b.received.length &&
    a.unsent === b.unsent
  );
}

/** The time in repair mode is as short as can be: a program that went on in it could not send. */
function snapshotOf(fd: LocalFd, reuseAddress: number): TcpSnapshot {
  const { info, unread, unacknowledged, notSent } = readOutside(fd);
  const received = peek(fd, unread);
  // While the queue for sending is chosen, what the kernel would send is marked as sent and stays here.
  const fin = Number(WE_ENDED.includes(nameOf(TCP_STATE, info.state) ?? ""));
  const unsent = Math.max(notSent - fin, 0);
  return withRoom(unacknowledged, (room) => {
    enterRepair(fd);
    try {
      const inside = readInside(fd);
      const sent = peekInto(fd, room, unacknowledged);
      chooseQueue(fd, QUEUE.NONE);
      return { info, ...inside, unsent, sent, received };
    } finally {
      leaveRepair(fd, LEAVE.SILENT, reuseAddress);
    }
  });
}

function peek(fd: LocalFd, length: number): Buffer {
  if (length === 0) return Buffer.alloc(0);
  return withRoom(length, (room) => peekInto(fd, room, length));
}

/** Most queues are short: one piece of memory serves for all of them. */
const ROOM = 64 * 1024;
let common: NativeBuffer | undefined;

function withRoom<T>(length: number, use: (room: NativeBuffer) => T): T {
  if (length <= ROOM) return use((common ??= new NativeBuffer(ROOM)));
  using own = new NativeBuffer(length);
  return use(own);
}

function peekInto(fd: LocalFd, room: NativeBuffer, length: number): Buffer {
  if (length === 0) return Buffer.alloc(0);
  const message = receive(fd, room, MSG.MSG_PEEK | MSG.MSG_DONTWAIT);
  if (typeof message === "number") throw new SyscallError("recvmsg", message, "Looking into a TCP connection");
  return message.data.subarray(0, length);
}
