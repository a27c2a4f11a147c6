/**
 * Connections that wait in a listening socket's backlog, nobody having accepted them. Their server's end has no
 * descriptor: only a handshake makes one again, so both ends must be in the set, and nothing may have been sent.
 */
import { failures } from "../../../errors/catalogue.ts";
import { IPPROTO, SIOCOUTQ } from "../../../abi/socket.ts";
import { getOption, ioctlInt } from "../../../sys/socket.ts";
import { TCP_STATE } from "../../../abi/tcp.ts";
import { tcpInfo } from "../../../sys/tcp.ts";
import type { FreezeContext, OpenFile, Settling } from "../../freeze-context.ts";
import { plainEnd } from "../../../proc/inet-diag.ts";
import { inetSort, isTcpConnection, localAddress, peerAddress, showAddress } from "../inet-common.ts";
import { flowKey, once, tcpSockets, turned } from "../inet-snapshot.ts";
import { portOf } from "../port.ts";
import { backlogSettling } from "../transient.ts";
import type { Flow } from "../quarantine/rules.ts";
import { networkHere, socketNamespace } from "../../../sys/namespaces.ts";

export interface Waiting {
  readonly id: string;
  readonly file: OpenFile;
  readonly flow: Flow;
  /** The listening socket's file, in the set. */
  readonly listener: string;
  /** Whether the listening socket has it in its queue; a deferred one (TCP_DEFER_ACCEPT) comes there later. */
  readonly queued: boolean;
}

const NOT_ACCEPTED: readonly number[] = [TCP_STATE.ESTABLISHED, TCP_STATE.CLOSE_WAIT, TCP_STATE.SYN_RECV];
/** tcpi_last_data_sent: milliseconds since the handshake, where no data was sent after it. */
const LAST_DATA_SENT = 44;

/** TCP sockets of the set that belong to the network namespace that this thread is in. */
export function tcpFiles(context: FreezeContext): (readonly [id: string, file: OpenFile])[] {
  return once(context, "tcp files", () => {
    const here = networkHere();
    return context
      .openFiles()
      .filter(([, file]) => inetSort(file)?.protocol === IPPROTO.IPPROTO_TCP && socketNamespace(file.local) === here);
  });
}

/** The clients of the set that wait, by inode, oldest first. */
export function waitingClients(context: FreezeContext): ReadonlyMap<bigint, Waiting> {
  return once(context, "waiting", () => {
    const { unheld } = tcpSockets(context);
    const listeners = tcpFiles(context).filter(([, { local }]) => tcpInfo(local)?.state === TCP_STATE.LISTEN);
    const found: Aged[] = [];
    if (listeners.length === 0) return new Map();
    for (const [id, file] of tcpFiles(context)) {
      const remote = isTcpConnection(file) ? peerAddress(file.local) : undefined;
      if (!remote) continue;
      const flow = { local: localAddress(file.local), remote };
      const other = unheld.get(flowKey(turned(flow)));
      if (!other || !NOT_ACCEPTED.includes(other.state)) continue;
      const [listener, another] = listeners.filter(([, { local }]) => leadsTo(remote, localAddress(local)));
      if (!listener) continue;
      if (another) context.refuse(failures.TCP_PENDING_CONNECTIONS.ofClient({ file, remote: showAddress(remote) }));
      const data = other.unread - Number(other.state === TCP_STATE.CLOSE_WAIT);
      if (data > 0 || (ioctlInt(file.local, SIOCOUTQ) ?? 0) > 0)
        context.refuse(failures.TCP_PENDING_DATA({ file, remote: showAddress(remote) }));
      const age = getOption(file.local, IPPROTO.IPPROTO_TCP, 11, 60)?.readUInt32LE(LAST_DATA_SENT) ?? 0;
      found.push([
        performance.now() - age,
        { id, file, flow, listener: listener[0], queued: other.state !== TCP_STATE.SYN_RECV },
      ]);
    }
    const inOrder = found.toSorted(older);
    return new Map(inOrder.map(([, waiting]) => [waiting.file.stat.inode, waiting]));
  });
}

type Aged = readonly [since: number, waiting: Waiting];
/** The kernel counts in jiffies of up to 10 ms; what is closer together is told apart by when the sockets were made. */
const UNSHARP_MS = 25;

function older([a, one]: Aged, [b, other]: Aged): number {
  return Math.abs(a - b) > UNSHARP_MS ? a - b : Number(one.file.stat.inode - other.file.stat.inode);
}

function leadsTo(target: Flow["remote"], name: Flow["local"]): boolean {
  return target.port === name.port && (/^(0\.0\.0\.0|::)$/.test(name.address) || plainEnd(target) === plainEnd(name));
}

/**
 * What a listening socket's backlog has, as ids of the clients' files. Clients outside cannot be carried: no kernel puts a
 * connection back into a backlog. As a rule the program accepts them as soon as it may go on.
 */
export function freezeBacklog(file: OpenFile, name: Flow["local"], waiting: number): string[] {
  const id = file.context.fileId(file.pid, file.fd);
  const mine = [...waitingClients(file.context).values()].filter(({ listener }) => listener === id);
  const ours = new Set(mine.map(({ flow }) => flowKey(turned(flow))));
  const strangers = waiting - mine.filter(({ queued }) => queued).length;
  const begin = (): Settling => backlogSettling(file.local, portOf(file));
  if (strangers > 0 && !file.context.closeExternal) {
    file.context.restless(begin);
    throw failures.TCP_PENDING_CONNECTIONS.ofServer({ file, local: showAddress(name), count: strangers });
  }
  if (strangers > 0)
    file.context.note(
      `${strangers} connections to ${showAddress(name)} that ${file.command} (${file.pid}) has not accepted yet are closed.`,
    );
  const halves = [...tcpSockets(file.context).unheld.values()].filter(
    (half) => half.state === TCP_STATE.SYN_RECV && leadsTo(half.local, name) && !ours.has(flowKey(half)),
  );
  // Who has been answered believes in a connection that would not be here any more.
  if (halves.length > 0) file.context.restless(begin);
  return mine.map((client) => client.id);
}
