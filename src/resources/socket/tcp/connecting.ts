/**
 * A TCP connection that was asked for and that nobody has accepted: on its way (SYN_SENT), or waiting in the backlog of a
 * listening socket of the set. Nothing has been sent over it: it is made by connect(2) once more, from the same port.
 */
import { POLL } from "../../../abi/poll.ts";
import { pollNow } from "../../../sys/poll.ts";
import { Memo } from "../../memo.ts";
import * as v from "valibot";
import { SyscallError, attempt, call } from "../../../sys/call.ts";
import { ERRNO } from "../../../abi/errno.ts";
import { F, O } from "../../../abi/fcntl.ts";
import { inetAddress } from "../../../abi/sockaddr.ts";
import { AF, IPPROTO, SHUT, SO, SOCK, SOL } from "../../../abi/socket.ts";
import { setInt, tryAddress, useAddress } from "../../../sys/socket.ts";
import { LEAVE, TCP_STATE } from "../../../abi/tcp.ts";
import { enterRepair, leaveRepair, tcpInfo } from "../../../sys/tcp.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { OpenFile } from "../../freeze-context.ts";
import type { ThawContext } from "../../thaw-context.ts";
import type { FileKind } from "../../contract.ts";
import { filterSchema, freezeFilter, thawFilter } from "../filter.ts";
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
} from "../inet-common.ts";
import { tcpSockets } from "../inet-snapshot.ts";
import { optionsSchema, thawOptions } from "../options.ts";
import { networkNeed } from "../quarantine/requirements.ts";
import { flowSchema, PASS_MARK } from "../quarantine/rules.ts";
import { closeWithoutSending } from "./snapshot.ts";
import { freezeKeys, md5KeysSchema, thawKeys } from "./md5.ts";
import { waitingClients } from "./backlog.ts";
import { Defect } from "../../../errors/wrong-input.ts";

const schema = v.strictObject({
  family: v.picklist(["AF_INET", "AF_INET6"]),
  ...flowSchema.entries,
  options: optionsSchema,
  filter: v.optional(filterSchema),
  md5Keys: v.optional(md5KeysSchema),
  /** It waits in the backlog of a listening socket, which lists it; without, its first packet has no answer yet. */
  waiting: v.optional(v.literal(true)),
  /** The program has shut it down for writing. */
  sendShutdown: v.optional(v.literal(true)),
});
type ConnectingState = v.InferOutput<typeof schema>;

const FINISHED: readonly number[] = [TCP_STATE.FIN_WAIT1, TCP_STATE.FIN_WAIT2];

export const tcpConnecting: FileKind<ConnectingState, "tcp-connecting"> = {
  name: "tcp-connecting",
  schema,
  recognise: (file) => isTcpConnection(file) && (isDialling(file) || waitingClients(file.context).has(file.stat.inode)),
  network: (state) => ({ need: networkNeed(state) }),
  freeze(file) {
    const sort = inetSort(file) as InetSort;
    refuseStrange(file, sort);
    const waiting = waitingClients(file.context).get(file.stat.inode);
    const filter = freezeFilter(file);
    const keys = freezeKeys(file, tcpSockets(file.context).byInode.get(Number(file.stat.inode)));
    const options = inetOptions(file, sort);
    file.context.beforeKill(() => closeWithoutSending(file.local, Number(options["SO_REUSEADDR"] ?? 0)));
    return {
      family: familyName(sort.family) as ConnectingState["family"],
      local: localAddress(file.local),
      remote: peerAddress(file.local) ?? remoteOf(file),
      options,
      ...(filter !== undefined && { filter }),
      ...(keys && { md5Keys: keys }),
      ...(waiting && { waiting: true as const }),
      ...(FINISHED.includes(tcpInfo(file.local)?.state ?? 0) && { sendShutdown: true as const }),
    };
  },
  thaw(state, context) {
    const family = AF[state.family];
    const sort = { family, type: SOCK.SOCK_STREAM, protocol: IPPROTO.IPPROTO_TCP };
    const fd = context.keep(newInetSocket(sort));
    thawOptions(fd, state.options, "early", ["SO_REUSEADDR"]);
    thawFilter(fd, state.filter);
    thawKeys(fd, state.md5Keys);
    // Another connection may have the same port to elsewhere: in repair mode that is no conflict.
    enterRepair(fd);
    useAddress("bind", fd, inetAddress(family, state.local), `Binding a socket to ${showAddress(state.local)}`);
    leaveRepair(fd, LEAVE.SILENT, Number(state.options["SO_REUSEADDR"] ?? 0));
    const finish = (): void => {
      // The port that it goes to may be silent still.
      setInt(fd, SOL.SOL_SOCKET, SO.SO_MARK, PASS_MARK, "Preparing a connection");
      dial(fd, inetAddress(family, state.remote), `Connecting a socket to ${showAddress(state.remote)}`);
      if (state.sendShutdown) call("shutdown", "Closing one half of a connection", fd, SHUT.SHUT_WR);
      setInt(fd, SOL.SOL_SOCKET, SO.SO_MARK, Number(state.options["SO_MARK"] ?? 0), "Preparing a connection");
      thawOptions(fd, state.options, "late");
    };
    if (state.waiting) context.memo(waiting).set(fd, finish);
    // After those that the server had taken already.
    else context.during("connect", finish);
    return fd;
  },
};

/** How clients that wait in a backlog connect, by their sockets. */
const waiting = new Memo(() => new Map<LocalFd, () => void>());

/** The listening socket calls its clients, in their order. */
export function comeWaiting(context: ThawContext, client: LocalFd): void {
  context.memo(waiting).get(client)?.();
}

function isDialling(file: OpenFile): boolean {
  return tcpInfo(file.local)?.state === TCP_STATE.SYN_SENT;
}

/** getpeername(2) tells only of connections that stand. */
function remoteOf(file: OpenFile): ConnectingState["remote"] {
  const info = tcpSockets(file.context).byInode.get(Number(file.stat.inode));
  if (!info) throw new Defect(`socket ${file.stat.inode} is not among those of its network namespace`);
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
