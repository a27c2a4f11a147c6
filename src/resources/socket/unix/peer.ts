/** Who stands at the other end of a unix socket. */
import { failures } from "../../../errors/catalogue.ts";
import { parseStatus } from "../../../proc/status.ts";
import { SIOCOUTQ, SOCK } from "../../../abi/socket.ts";
import { readFileSync } from "../../../sys/files.ts";
import { ioctlInt } from "../../../sys/socket.ts";
import { nameOf } from "../../../lib/flags.ts";
import { TCP_LISTEN } from "../../../proc/unix-diag.ts";
import type { UnixConnectionState } from "./pair.ts";
import { peerCredentials, type Creator } from "../creator.ts";
import { noteClosed } from "../close-external.ts";
import { activationOf } from "../activation/activated.ts";
import { closingService } from "../system-services.ts";
import { externalSocket } from "../external.ts";
import { freezeJournalStream, isJournal, type JournalStream } from "./journal-stream.ts";
import type { SeenSocket, UnixLook } from "./snapshot.ts";
import { isOwnName } from "./own-name.ts";
import { freezeName, isPathName, type BoundName } from "./name.ts";

export interface PeerState {
  readonly connection?: { object: string; end: 0 | 1 };
  readonly target?: BoundName;
  readonly journal?: JournalStream;
  /** The name is part of the connection. */
  readonly named?: boolean;
}

const BOTH_SHUT = 3;

export function freezePeer(me: SeenSocket, look: UnixLook): PeerState {
  const { info } = me;
  refuseForeignSenders(me, look);
  if (info.peer === undefined) return {};
  if (info.peer === 0) return freezeLost(me, look);
  if (info.peer === info.inode) {
    const target = freezeName(me.file, info);
    return target ? { target } : {};
  }
  const other = look.inside.get(info.peer);
  if (other && other.info.peer === info.inode) return connect(me, other, look);
  const outside = look.everywhere.get(info.peer);
  if (info.type !== SOCK.SOCK_DGRAM || !outside || outside.peer === info.inode || outside.name === "")
    return outsideService(me, look, outside?.name, info.peer) ?? closeExternal(me, look, info.peer);
  const target = other ? freezeName(other.file, other.info) : { name: outside.name };
  return target ? { target } : {};
}

/** A connection to what every machine has: it is opened anew, or comes back closed whether or not the user wants that. */
function outsideService(
  me: SeenSocket,
  look: UnixLook,
  name: string | undefined,
  inode: number,
): PeerState | undefined {
  if (name === undefined || me.info.type !== SOCK.SOCK_STREAM) return undefined;
  if (isJournal(name)) return { journal: freezeJournalStream(me, name, inode) };
  const service = closingService(name);
  if (service === undefined) return undefined;
  noteClosed(me.file, `connection to the ${service}`, inode);
  return connect(me, undefined, look);
}

/** Comes back as a connection whose other end is closed, if the user wants that. */
function closeExternal(me: SeenSocket, look: UnixLook, inode: number | undefined): PeerState {
  if (!me.file.context.closeExternal) throw externalSocket(me.file, describe(me), inode);
  noteClosed(me.file, describe(me), inode);
  return connect(me, undefined, look);
}

/** The other end has no descriptor: it is closed, or it waits to be accepted. */
function freezeLost(me: SeenSocket, look: UnixLook): PeerState {
  const { info } = me;
  if (info.type === SOCK.SOCK_DGRAM || info.shutdown === BOTH_SHUT) return connect(me, undefined, look);
  const listener = [...look.everywhere.values()].find(({ pending }) => pending.includes(info.inode));
  if (!listener || !look.inside.has(listener.inode))
    return outsideService(me, look, listener?.name, info.inode) ?? closeExternal(me, look, listener?.inode);
  if ((ioctlInt(me.file.local, SIOCOUTQ) ?? 0) > 0) {
    throw failures.UNIX_PENDING_DATA.backlog({ file: me.file });
  }
  return {};
}

/** The sockets that wait in a listener's backlog. */
export function freezePending(me: SeenSocket, look: UnixLook): { pending: string[]; pendingPeers: Creator[] } {
  const clients = me.info.pending.flatMap((inode) => {
    const client = look.inside.get(inode);
    if (client) return [client];
    const what = `${describe(me)}, a connection that waits to be accepted`;
    if (!me.file.context.closeExternal) throw externalSocket(me.file, what, inode);
    noteClosed(me.file, what, inode);
    return [];
  });
  return { pending: clients.map(({ id }) => id), pendingPeers: clients.map(({ file }) => ownerOf(file.pid)) };
}

/** Nobody can ask a connection that was not accepted yet; but who has its one end has most likely made it. */
function ownerOf(pid: number): Creator {
  const status = parseStatus(readFileSync(`/proc/${pid}/status`, "utf8"));
  const effective = (name: string): number => Number(status.get(name)?.split(/\s+/)[1] ?? 0);
  return { pid, uid: effective("Uid"), gid: effective("Gid") };
}

function connect(me: SeenSocket, other: SeenSocket | undefined, look: UnixLook): PeerState {
  const accepted = acceptedEnd(me, other, look);
  const first = accepted ? (accepted === me ? other : me) : !other || me.info.inode < other.info.inode ? me : other;
  const second = first === me ? other : me;
  const object = `unix:${Math.min(me.info.inode, other?.info.inode ?? me.info.inode)}`;
  me.file.context.object(object, () => describeConnection(me, first, second, accepted, look));
  return { connection: { object, end: first === me ? 0 : 1 }, ...(accepted && { named: true }) };
}

function describeConnection(
  me: SeenSocket,
  first: SeenSocket | undefined,
  second: SeenSocket | undefined,
  accepted: SeenSocket | undefined,
  look: UnixLook,
): UnixConnectionState {
  const seenBySecond = second && peerCredentials(second.file);
  const seenByFirst = first && peerCredentials(first.file);
  const creators = [seenBySecond ?? seenByFirst, seenByFirst ?? seenBySecond];
  const bound = accepted && first && freezeName(first.file, first.info);
  return {
    kind: "unix-connection",
    type: nameOf(SOCK, me.info.type) ?? String(me.info.type),
    openEnds: [first !== undefined, second !== undefined],
    ...(creators[0] && creators[1] && { creators: [creators[0], creators[1]] }),
    ...(accepted && { accepted: describeListener(accepted, look) }),
    ...(bound && { bound }),
  };
}

/** Which end came out of accept(2): its name is its listener's. */
function acceptedEnd(me: SeenSocket, other: SeenSocket | undefined, look: UnixLook): SeenSocket | undefined {
  if (me.info.type === SOCK.SOCK_DGRAM) return undefined;
  const named = [me, other].filter((socket) => socket !== undefined && socket.info.name !== "");
  return named.find((socket) => socket && listenerOf(socket, look) !== undefined) ?? named[0];
}

function listenerOf({ info }: SeenSocket, look: UnixLook): number | undefined {
  for (const other of look.everywhere.values()) {
    if (other.state === TCP_LISTEN && other.name === info.name && other.file?.inode === info.file?.inode)
      return other.inode;
  }
  return undefined;
}

function describeListener(accepted: SeenSocket, look: UnixLook): NonNullable<UnixConnectionState["accepted"]> {
  const inode = listenerOf(accepted, look);
  const seen = inode === undefined ? undefined : look.inside.get(inode);
  // From a socket that systemd has too, whoever else has connected meanwhile might be accepted.
  const listener = seen && activationOf(seen.file) ? undefined : seen;
  if (seen && !listener && !isPathName(seen.info.name))
    throw failures.SOCKET_ACTIVATED.abstract({ file: accepted.file, name: accepted.info.name });
  // A name for the moment only, if the listener is not in the set: no socket file is left behind.
  const name = listener
    ? freezeName(listener.file, listener.info)
    : withoutFile(freezeName(accepted.file, accepted.info));
  return { ...(listener && { listener: listener.id }), name: name ?? { name: accepted.info.name } };
}

function withoutFile(bound: BoundName | undefined): BoundName | undefined {
  return (
    bound && {
      name: bound.name,
      ...(bound.directory !== undefined && { directory: bound.directory }),
      ...(bound.ownName && { ownName: bound.ownName }),
    }
  );
}

/** A datagram that came from an abstract name, whose owner stays outside: nobody else can send from there. */
function refuseForeignSenders(me: SeenSocket, look: UnixLook): void {
  for (const { from } of me.queue?.messages ?? []) {
    if (from === undefined || (isPathName(from) && !isOwnName(from))) continue;
    const [sender, ...others] = [...look.everywhere.values()].filter(({ name }) => name === from);
    // Several processes may have such a name, and who has gone leaves one that nobody else can give itself.
    const isUnclear = isOwnName(from) && (!sender || others.length > 0);
    if (isUnclear || (sender && !look.inside.has(sender.inode)))
      throw externalSocket(me.file, `a datagram from ${from}`, sender?.inode);
  }
}

function describe({ info }: SeenSocket): string {
  return `unix socket${info.name === "" ? "" : ` ${info.name}`}`;
}
