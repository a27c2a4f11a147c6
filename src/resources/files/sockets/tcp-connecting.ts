/**
 * A TCP connection that was asked for and that nobody has accepted: on its way (SYN_SENT), or waiting in the backlog of a
 * listening socket of the set. Nothing has been sent over it: it is made by connect(2) once more, from the same port.
 */
import * as v from "valibot";
import { attempt, call, SyscallError } from "../../../abi/call.ts";
import { ERRNO } from "../../../abi/errno.ts";
import { F, O } from "../../../abi/fcntl.ts";
import { inetAddress } from "../../../abi/sockaddr.ts";
import {
  AF,
  IPPROTO,
  POLL,
  pollNow,
  setInt,
  SHUT,
  SO,
  SOCK,
  SOL,
  tryAddress,
  useAddress,
} from "../../../abi/socket.ts";
import { enterRepair, LEAVE, leaveRepair, TCP_STATE, tcpInfo } from "../../../abi/tcp.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { FileKind, OpenFile } from "../../contract.ts";
import { filterSchema, freezeFilter, thawFilter } from "./filter.ts";
import {
  familyName,
  inetOptions,
  inetSort,
  isTcpConnection,
  localAddress,
  newInetSocket,
  peerAddress,
  refuseStrange,
  showAddress,
  type InetSort,
} from "./inet-common.ts";
import { tcpSockets } from "./inet-look.ts";
import { optionsSchema, thawOptions } from "./options.ts";
import { flowSchema, PASS_MARK } from "./silence-rules.ts";
import { endInSilence } from "./tcp-look.ts";
import { freezeKeys, keysSchema, thawKeys } from "./tcp-md5.ts";
import { waitingClients } from "./tcp-pending.ts";

const schema = v.strictObject({
  family: v.picklist(["AF_INET", "AF_INET6"]),
  ...flowSchema.entries,
  options: optionsSchema,
  filter: v.optional(filterSchema),
  keys: v.optional(keysSchema),
  /** It waits in the backlog of a listening socket, which lists it; without, its first packet has no answer yet. */
  waiting: v.optional(v.literal(true)),
  /** The program has shut it down for writing. */
  ended: v.optional(v.literal(true)),
});
type ConnectingState = v.InferOutput<typeof schema>;

const FINISHED: readonly number[] = [TCP_STATE.FIN_WAIT1, TCP_STATE.FIN_WAIT2];

export const tcpConnecting: FileKind<ConnectingState> = {
  name: "tcp-connecting",
  schema,
  recognise: (file) => isTcpConnection(file) && (isDialling(file) || waitingClients(file.context).has(file.stat.inode)),
  freeze(file) {
    const sort = inetSort(file) as InetSort;
    refuseStrange(file, sort);
    const waiting = waitingClients(file.context).get(file.stat.inode);
    const filter = freezeFilter(file);
    const keys = freezeKeys(file, tcpSockets(file.context).byInode.get(Number(file.stat.inode)));
    const options = inetOptions(file, sort);
    file.context.beforeKill(() => endInSilence(file.local, Number(options["SO_REUSEADDR"] ?? 0)));
    return {
      family: familyName(sort.family) as ConnectingState["family"],
      local: localAddress(file.local),
      remote: peerAddress(file.local) ?? remoteOf(file),
      options,
      ...(filter !== undefined && { filter }),
      ...(keys && { keys }),
      ...(waiting && { waiting: true as const }),
      ...(FINISHED.includes(tcpInfo(file.local)?.state ?? 0) && { ended: true as const }),
    };
  },
  thaw(state, context) {
    const family = AF[state.family];
    const sort = { family, type: SOCK.SOCK_STREAM, protocol: IPPROTO.IPPROTO_TCP };
    const fd = context.keep(newInetSocket(sort));
    thawOptions(fd, state.options, "early", ["SO_REUSEADDR"]);
    thawFilter(fd, state.filter);
    thawKeys(fd, state.keys);
    // Another connection may have the same port to elsewhere: in repair mode that is no conflict.
    enterRepair(fd);
    useAddress("bind", fd, inetAddress(family, state.local), `Binding a socket to ${showAddress(state.local)}`);
    leaveRepair(fd, LEAVE.SILENT, Number(state.options["SO_REUSEADDR"] ?? 0));
    const finish = (): void => {
      // The port that it goes to may be silent still.
      setInt(fd, SOL.SOL_SOCKET, SO.SO_MARK, PASS_MARK, "Preparing a connection");
      dial(fd, inetAddress(family, state.remote), `Connecting a socket to ${showAddress(state.remote)}`);
      if (state.ended) call("shutdown", "Closing one half of a connection", fd, SHUT.SHUT_WR);
      setInt(fd, SOL.SOL_SOCKET, SO.SO_MARK, Number(state.options["SO_MARK"] ?? 0), "Preparing a connection");
      thawOptions(fd, state.options, "late");
    };
    if (state.waiting) backlogs.set(fd, finish);
    // After those that the server had taken already.
    else context.whenOpen(() => context.whenOpen(finish));
    return fd;
  },
};

const backlogs = new Map<LocalFd, () => void>();

/** The listening socket calls its clients, in their order. */
export function comeWaiting(client: LocalFd): void {
  backlogs.get(client)?.();
  backlogs.delete(client);
}

function isDialling(file: OpenFile): boolean {
  return tcpInfo(file.local)?.state === TCP_STATE.SYN_SENT;
}

/** getpeername(2) tells only of connections that stand. */
function remoteOf(file: OpenFile): ConnectingState["remote"] {
  const info = tcpSockets(file.context).byInode.get(Number(file.stat.inode));
  if (!info) throw new RangeError(`socket ${file.stat.inode} is not among those of its network namespace`);
  return info.remote;
}

/** On the loopback device the whole handshake takes place inside this call. */
function dial(fd: LocalFd, target: Buffer, about: string): void {
  const flags = call("fcntl", about, fd, F.F_GETFL, 0);
  call("fcntl", about, fd, F.F_SETFL, flags | O.O_NONBLOCK);
  const result = tryAddress("connect", fd, target);
  if (result < 0 && result !== -ERRNO.EINPROGRESS) throw new SyscallError("connect", result, about);
  // A second call takes note of a handshake that is done: until then a third would be told EALREADY.
  if (result < 0 && (pollNow(fd, POLL.POLLOUT) & POLL.POLLOUT) !== 0) tryAddress("connect", fd, target);
  attempt("fcntl", fd, F.F_SETFL, flags);
}
