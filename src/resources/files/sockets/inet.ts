/** TCP that listens or is not connected (tcp(7)), and UDP (udp(7)): bound, connected or neither. */
import * as v from "valibot";
import { inetAddress, type InetAddress } from "../../../abi/sockaddr.ts";
import { AF, getInt, intBytes, IPPROTO, SO, SOCK, SOL, trySetOption, useAddress } from "../../../abi/socket.ts";
import { tcpInfo, TCP_STATE } from "../../../abi/tcp.ts";
import { nameOf } from "../../../lib/flags.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { FileKind, OpenFile, ThawContext } from "../../contract.ts";
import { datagramsSchema, freezeDatagrams, thawDatagrams } from "./datagrams.ts";
import { freezeError } from "./errors.ts";
import { socketRefusal } from "./external.ts";
import { tcpSockets } from "./inet-look.ts";
import { comeWaiting } from "./tcp-connecting.ts";
import { freezeKeys, keysSchema, thawKeys } from "./tcp-md5.ts";
import { freezeBacklog } from "./tcp-pending.ts";
import { bindPort, listenAgain } from "./tcp-port.ts";
import {
  familyName,
  inetEnd,
  inetOptions,
  inetSort,
  isTcpConnection,
  localAddress,
  newInetSocket,
  peerAddress,
  protocolName,
  refuseStrange,
  showAddress,
  type InetSort,
} from "./inet-common.ts";
import { freezeFilter, filterSchema, thawFilter } from "./filter.ts";
import { endedSchema, freezeEnded, thawEnded } from "./tcp-ended.ts";
import { freezeMemberships, membershipSchema, thawMemberships } from "./multicast.ts";
import { optionsSchema, thawOptions } from "./options.ts";
import { checkNetwork } from "./surroundings.ts";

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
  keys: v.optional(keysSchema),
  /** Multicast groups that it has joined. */
  memberships: v.optional(v.array(membershipSchema)),
  filter: v.optional(filterSchema),
  /** Datagrams that are not read yet. */
  datagrams: v.optional(datagramsSchema),
  /** A TCP connection that is over. */
  ended: v.optional(endedSchema),
});
type InetState = v.InferOutput<typeof schema>;

const CARRIED: readonly number[] = [IPPROTO.IPPROTO_TCP, IPPROTO.IPPROTO_UDP, IPPROTO.IPPROTO_UDPLITE];
const UDP_CORK = 1;

export const inetSocket: FileKind<InetState> = {
  name: "inet-socket",
  schema,
  recognise: (file) => inetSort(file) !== undefined && !isTcpConnection(file),
  freeze(file) {
    const sort = inetSort(file) as InetSort;
    refuseOtherProtocols(file, sort);
    refuseStrange(file, sort);
    const local = localAddress(file.local);
    const remote = peerAddress(file.local);
    const bound = local.port !== 0 || !/^(0\.0\.0\.0|::)$/.test(local.address);
    const memberships = sort.type === SOCK.SOCK_DGRAM ? freezeMemberships(file, sort.family) : [];
    const filter = freezeFilter(file);
    const datagrams = sort.type === SOCK.SOCK_DGRAM ? freezeDatagrams(file) : undefined;
    const isTcp = sort.protocol === IPPROTO.IPPROTO_TCP;
    const error = freezeError(file, sort, local.address, remote?.address);
    const ended = isTcp ? freezeEnded(file, error) : undefined;
    const listening = isTcp ? freezeListening(file, local) : undefined;
    const keys = isTcp ? freezeKeys(file, tcpSockets(file.context).byInode.get(Number(file.stat.inode))) : undefined;
    if (sort.type === SOCK.SOCK_DGRAM) refuseCorked(file);
    return {
      family: familyName(sort.family) as InetState["family"],
      type: nameOf(SOCK, sort.type) as InetState["type"],
      protocol: protocolName(sort.protocol),
      options: inetOptions(file, sort),
      ...(bound && { local }),
      ...(remote && { remote }),
      ...(listening && { listening }),
      ...(keys && { keys }),
      ...(ended && { ended }),
      ...(datagrams && { datagrams }),
      ...(memberships.length > 0 && { memberships }),
      ...(filter !== undefined && { filter }),
    };
  },
  check: checkNetwork,
  thaw(state, context) {
    const family = AF[state.family];
    const type = SOCK[state.type];
    const protocol = (IPPROTO as Readonly<Record<string, number>>)[state.protocol] ?? 0;
    const fd = context.keep(newInetSocket({ family, type, protocol }));
    thawOptions(fd, state.options, "early", ["SO_REUSEADDR"]);
    if (state.ended) {
      thawEnded(state.ended, context, fd, family, state.local);
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
    thawKeys(fd, state.keys);
    if (state.listening) listen(state.listening, context, fd, state.local);
    if (state.datagrams && state.local) thawDatagrams(state.datagrams, context, protocol, state.local);
    thawMemberships(fd, state.memberships ?? []);
    thawFilter(fd, state.filter);
    thawOptions(fd, state.options, "late");
    return fd;
  },
};

function listen(
  { backlog, pending }: NonNullable<InetState["listening"]>,
  context: ThawContext,
  fd: LocalFd,
  local: InetAddress | undefined,
): void {
  listenAgain(fd, local ?? { address: "", port: 0 }, backlog);
  context.whenOpen(() => {
    for (const id of pending ?? []) comeWaiting(context.file(id));
  });
}

function refuseOtherProtocols(file: OpenFile, { family, type, protocol }: InetSort): void {
  if (CARRIED.includes(protocol) && (type === SOCK.SOCK_STREAM || type === SOCK.SOCK_DGRAM)) return;
  const name = `${familyName(family)} ${nameOf(SOCK, type) ?? type} ${protocolName(protocol)}`;
  throw socketRefusal(file, "SOCKET_PROTOCOL", `a socket of a protocol that cannot be frozen`, `it is ${name}.`);
}

function freezeListening(file: OpenFile, local: InetAddress): InetState["listening"] {
  const info = tcpInfo(file.local);
  if (info?.state !== TCP_STATE.LISTEN) return undefined;
  const pending = freezeBacklog(file, local, info.waiting);
  return { backlog: info.backlog, ...(pending.length > 0 && { pending }) };
}

function refuseCorked(file: OpenFile): void {
  if ((getInt(file.local, IPPROTO.IPPROTO_UDP, UDP_CORK) ?? 0) !== 0) {
    throw socketRefusal(file, "UDP_CORK", "a corked UDP socket", "what it has gathered cannot be read.");
  }
}
