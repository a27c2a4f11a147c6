/** TCP that listens or is not connected (tcp(7)), and UDP (udp(7)): bound, connected or neither. */
import { failures } from "../../errors/catalogue.ts";
import * as v from "valibot";
import { attempt } from "../../sys/call.ts";
import { reportRefused } from "../../sys/packet.ts";
import { type InetAddress, inetAddress } from "../../abi/sockaddr.ts";
import { AF, IPPROTO, SHUT, SIOCOUTQ, SO, SOCK, SOL, intBytes } from "../../abi/socket.ts";
import { getInt, ioctlInt, trySetOption, useAddress } from "../../sys/socket.ts";
import { TCP_STATE } from "../../abi/tcp.ts";
import { tcpInfo } from "../../sys/tcp.ts";
import { nameOf } from "../../lib/flags.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileKind } from "../contract.ts";
import { activationOf, activationSchema, ofManager, type Activation } from "./activation/activated.ts";
import { checkActivated, noteUnset, takeActivated } from "./activation/restore.ts";
import { datagramsSchema, freezeDatagrams, thawDatagrams } from "./udp-queue.ts";
import { errorSchema, freezeError } from "./pending-error.ts";
import { dumpSockets, once, tcpSockets } from "./inet-snapshot.ts";
import { quarantineScope } from "./quarantine/scope.ts";
import { endLasting } from "./quarantine/quarantine.ts";
import { PASS_MARK, type QuarantinedPort } from "./quarantine/rules.ts";
import { isClosedExternal } from "./close-external.ts";
import { comeWaiting } from "./tcp/connecting.ts";
import { freezeKeys, md5KeysSchema, thawKeys } from "./tcp/md5.ts";
import { freezeBacklog } from "./tcp/backlog.ts";
import { bindPort, listenAgain } from "./tcp/port.ts";
import {
  familyName,
  inetEnd,
  inetNeeds,
  inetOptions,
  inetOptionsOf,
  inetSort,
  localAddress,
  newInetSocket,
  peerAddress,
  PING,
  protocolName,
  refuseStrange,
  showAddress,
  type InetSort,
} from "./inet-common.ts";
import { freezeFilter, filterSchema, thawFilter } from "./filter.ts";
import { endedSchema, freezeEnded, lookAtRest, thawEnded } from "./tcp/closed.ts";
import { freezeMemberships, membershipSchema, thawMemberships } from "./multicast.ts";
import { matchOptions, optionsSchema, thawOptions } from "./options.ts";
import { checkNetwork, networkNeed } from "./quarantine/requirements.ts";
import { asAnyUser } from "./ordinary-user.ts";

/** Protocols whose ports nobody may hear to be closed. */
const QUARANTINED: Readonly<Record<string, QuarantinedPort["protocol"]>> = {
  IPPROTO_TCP: "tcp",
  IPPROTO_UDP: "udp",
  IPPROTO_UDPLITE: "udplite",
};

const schema = v.strictObject({
  family: v.picklist(["AF_INET", "AF_INET6"]),
  type: v.picklist(["SOCK_STREAM", "SOCK_DGRAM"]),
  protocol: v.string(),
  options: optionsSchema,
  local: v.optional(inetEnd),
  /** The default target of a UDP socket. */
  remote: v.optional(inetEnd),
  /** `pending`: the files of clients that wait to be accepted, oldest first. */
  listening: v.optional(v.strictObject({ backlog: v.number(), pending: v.optional(v.array(v.string())) })),
  md5Keys: v.optional(md5KeysSchema),
  /** Multicast groups that it has joined. */
  memberships: v.optional(v.array(membershipSchema)),
  filter: v.optional(filterSchema),
  /** Datagrams that are not read yet. */
  datagrams: v.optional(datagramsSchema),
  /** What it was not told yet. */
  error: v.optional(errorSchema),
  /** If shutdown(2) was called on datagrams. */
  shutdown: v.optional(v.picklist(Object.keys(SHUT) as (keyof typeof SHUT)[])),
  /** The table of nftables that keeps its port silent until the thaw. */
  quarantine: v.optional(v.string()),
  /** A TCP connection that is over. */
  closed: v.optional(endedSchema),
  /** systemd has it as well, and makes it anew. */
  activation: v.optional(activationSchema),
});
type InetState = v.InferOutput<typeof schema>;

const CARRIED: readonly number[] = [IPPROTO.IPPROTO_TCP, IPPROTO.IPPROTO_UDP, IPPROTO.IPPROTO_UDPLITE, ...PING];
const UDP_ENCAP = 100;

export const inetSocket: FileKind<InetState, "inet-socket"> = {
  name: "inet-socket",
  schema,
  *forUser({ local, options, activation }) {
    yield* asAnyUser(local?.port, options);
    if (activation) yield ofManager(activation);
  },
  needs: ({ family }) => inetNeeds(family),
  recognise: (file) => inetSort(file) !== undefined,
  freeze(file) {
    const sort = inetSort(file) as InetSort;
    refuseOtherProtocols(file, sort);
    refuseStrange(file, sort);
    const local = localAddress(file.local);
    const closed = sort.protocol === IPPROTO.IPPROTO_TCP && isClosedExternal(file);
    const remote = closed ? undefined : peerAddress(file.local);
    const bound = local.port !== 0 || !/^(0\.0\.0\.0|::)$/.test(local.address);
    const memberships = sort.type === SOCK.SOCK_DGRAM ? freezeMemberships(file, sort.family) : [];
    const filter = freezeFilter(file);
    const isTcp = sort.protocol === IPPROTO.IPPROTO_TCP;
    // First of all: who came after a look at what waits would be nowhere. A TCP socket that is only bound says so to nobody.
    const listens = isTcp && tcpInfo(file.local)?.state === TCP_STATE.LISTEN;
    const quarantine = listens || (!isTcp && local.port !== 0) ? quarantineScope(file.context)?.lasting : undefined;
    // Before datagrams: looking for them would take an error away.
    const error = freezeError(file, sort, local.address, remote?.address);
    const datagrams = !isTcp && error === undefined ? freezeDatagrams(file, sort.protocol) : undefined;
    const ended = closed ? lookAtRest(file, "ECONNRESET") : isTcp ? freezeEnded(file, error) : undefined;
    const shutdown = sort.protocol === IPPROTO.IPPROTO_UDP ? shutdownOf(file) : undefined;
    const listening = listens ? freezeListening(file, local) : undefined;
    const keys = isTcp ? freezeKeys(file, tcpSockets(file.context).byInode.get(Number(file.stat.inode))) : undefined;
    if (sort.type === SOCK.SOCK_DGRAM) refuseGathered(file);
    const activation = activationOf(file);
    return {
      family: familyName(sort.family) as InetState["family"],
      type: nameOf(SOCK, sort.type) as InetState["type"],
      protocol: protocolName(sort.protocol),
      options: inetOptions(file, sort),
      ...(bound && { local }),
      ...(remote && { remote }),
      ...(listening && { listening }),
      ...(keys && { md5Keys: keys }),
      ...(ended && { closed: ended }),
      ...(datagrams && { datagrams }),
      ...(error && !isTcp && { error }),
      ...(shutdown && { shutdown }),
      ...(memberships.length > 0 && { memberships }),
      ...(filter !== undefined && { filter }),
      ...(quarantine !== undefined && { quarantine }),
      ...(activation && { activation }),
    };
  },
  network(state) {
    const { quarantine: table, local, remote, options, protocol } = state;
    const quarantined = QUARANTINED[protocol];
    const port = local && quarantined && { protocol: quarantined, ...local, onlyV6: options["IPV6_V6ONLY"] === 1 };
    const flow = !port && local && remote ? { local, remote } : undefined;
    return { need: networkNeed(state), ...(table !== undefined && { quarantine: { table, port, flow } }) };
  },
  ofMachine: ({ activation }) => activation !== undefined,
  check: (state) => (state.activation ? checkActivated(state.activation) : checkNetwork(state)),
  thaw(state, context) {
    const family = AF[state.family];
    const type = SOCK[state.type];
    const protocol = (IPPROTO as Readonly<Record<string, number>>)[state.protocol] ?? 0;
    if (state.activation) return thawTaken(state, state.activation, context, { family, type, protocol });
    const fd = context.keep(newInetSocket({ family, type, protocol }));
    thawOptions(fd, state.options, "early", ["SO_REUSEADDR"]);
    if (state.closed) {
      thawEnded(state.closed, context, fd, family, state.local);
      return fd;
    }
    // Connections of the port may still be on their way out of the kernel; what the program set comes afterwards.
    trySetOption(fd, SOL.SOL_SOCKET, SO.SO_REUSEADDR, intBytes(1));
    if (state.local) bindPort(fd, family, state.local, `Binding a socket to ${showAddress(state.local)}`);
    trySetOption(fd, SOL.SOL_SOCKET, SO.SO_REUSEADDR, intBytes(Number(state.options["SO_REUSEADDR"] ?? 0)));
    if (state.remote)
      useAddress(
        "connect",
        fd,
        inetAddress(family, state.remote),
        `Connecting a socket to ${showAddress(state.remote)}`,
      );
    thawKeys(fd, state.md5Keys);
    if (state.listening) listen(state.listening, context, fd, state.local);
    if (state.datagrams && state.local) thawDatagrams(state.datagrams, context, protocol, state.local);
    thawMemberships(fd, state.memberships ?? []);
    thawFilter(fd, state.filter);
    thawOptions(fd, state.options, "late");
    const { error, local, remote, shutdown, quarantine } = state;
    if (quarantine !== undefined) context.during("arm", () => endLasting(context, quarantine));
    if (error && local && remote)
      context.during("fill", () => reportRefused(family, { from: local, to: remote, protocol }, PASS_MARK));
    if (shutdown) context.during("fill", () => attempt("shutdown", fd, SHUT[shutdown]));
    return fd;
  },
};

/** Gets systemd's socket; what had been set and was waiting is added where it is a new one. */
function thawTaken(state: InetState, activation: Activation, context: ThawContext, sort: InetSort): LocalFd {
  const { fd, isSame } = takeActivated(activation, context);
  const { quarantine, listening, local } = state;
  if (quarantine !== undefined) context.during("arm", () => endLasting(context, quarantine));
  context.during("fill", () => comeAll(listening?.pending, context));
  if (isSame) return fd;
  noteUnset(activation, matchOptions(fd, state.options, inetOptionsOf(fd, sort, false)), context);
  thawKeys(fd, state.md5Keys);
  thawMemberships(fd, state.memberships ?? []);
  thawFilter(fd, state.filter);
  if (state.datagrams && local) thawDatagrams(state.datagrams, context, sort.protocol, local);
  return fd;
}

const SHUTDOWNS = [undefined, "SHUT_RD", "SHUT_WR", "SHUT_RDWR"] as const;

function shutdownOf(file: OpenFile): InetState["shutdown"] {
  const { inode } = file.stat;
  const sockets = once(file.context, "udp", () => dumpSockets(IPPROTO.IPPROTO_UDP));
  return SHUTDOWNS[(sockets.find((info) => BigInt(info.inode) === inode)?.shutdown ?? 0) & 3];
}

function listen(
  { backlog, pending }: NonNullable<InetState["listening"]>,
  context: ThawContext,
  fd: LocalFd,
  local: InetAddress | undefined,
): void {
  listenAgain(fd, local ?? { address: "", port: 0 }, backlog);
  context.during("fill", () => comeAll(pending, context));
}

function comeAll(clients: readonly string[] | undefined, context: ThawContext): void {
  for (const id of clients ?? []) comeWaiting(context, context.file(id));
}

function refuseOtherProtocols(file: OpenFile, { family, type, protocol }: InetSort): void {
  if (CARRIED.includes(protocol) && (type === SOCK.SOCK_STREAM || type === SOCK.SOCK_DGRAM)) return;
  const name = `${familyName(family)} ${nameOf(SOCK, type) ?? type} ${protocolName(protocol)}`;
  throw failures.SOCKET_PROTOCOL({ file, protocol: name });
}

function freezeListening(file: OpenFile, local: InetAddress): InetState["listening"] {
  const info = tcpInfo(file.local);
  if (info?.state !== TCP_STATE.LISTEN) return undefined;
  const pending = freezeBacklog(file, local, info.waiting);
  return { backlog: info.backlog, ...(pending.length > 0 && { pending }) };
}

/** What was sent with MSG_MORE or under a cork stands in the kernel; nothing else of a datagram stays there. */
function refuseGathered(file: OpenFile): void {
  if ((getInt(file.local, IPPROTO.IPPROTO_UDP, UDP_ENCAP) ?? 0) !== 0) {
    throw failures.UDP_ENCAP({ file });
  }
  if ((ioctlInt(file.local, SIOCOUTQ) ?? 0) === 0) return;
  throw failures.UDP_CORK({ file });
}
