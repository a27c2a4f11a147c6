/**
 * Making a unix socket again. When all files are open, three steps follow, each for all sockets before the next: fill
 * the queues; connect, shut down and take temporary names away; close the ends that nobody holds.
 */
import { Memo } from "../../memo.ts";
import { closeSync } from "node:fs";
import { SyscallError, attempt, call } from "../../../sys/call.ts";
import { trySend } from "../../../sys/message.ts";
import { unixAddress } from "../../../abi/sockaddr.ts";
import { AF, SHUT, SO, SOCK, SOCK_CLOEXEC, SOL } from "../../../abi/socket.ts";
import { getInt } from "../../../sys/socket.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { parseFlags } from "../../../lib/flags.ts";
import type { ThawContext } from "../../thaw-context.ts";
import { connectAs, type UnixConnection } from "./pair.ts";
import type { Activation } from "../activation/activated.ts";
import { noteUnset, takeActivated } from "../activation/restore.ts";
import { asCreator } from "../creator.ts";
import { thawFilter } from "../filter.ts";
import { openJournalStream } from "./journal-stream.ts";
import { matchOptions, setBufferSize, thawOptions } from "../options.ts";
import { refillQueue, type Queue } from "../receive-queue.ts";
import { bindUnix, connectUnix, inPlaceOf, isPathName, reachOf, withFileOf, type BoundName } from "./name.ts";
import { unixOptions } from "./options.ts";
import type { UnixState } from "./socket.ts";

/** While a queue is filled, so that no message has to wait. */
const LARGE_BUFFER = 256 * 1024 * 1024;

const nothing = (): void => undefined;

export function thawUnixSocket(state: UnixState, context: ThawContext): LocalFd {
  if (state.activation) return thawTaken(state, state.activation, context);
  const connection = state.connection && context.object<UnixConnection>(state.connection.object);
  const fd = connection ? (connection.ends[state.connection?.end ?? 0] as LocalFd) : newSocket(state, context);
  const peer = connection?.ends[state.connection?.end === 0 ? 1 : 0];
  thawOptions(fd, state.options, "early");
  const unname = state.name ? bindUnix(context, fd, state.name) : nothing;
  if (state.name) namesOf(context).set(state.name.name, fd);
  if (state.journal) openJournalStream(fd, state.journal, context);
  if (state.listening) listen(state.listening, context, fd);
  context.during("fill", () => {
    if (state.queue) fill(state, state.queue, context, peer);
    connectPending(state, context, fd);
  });
  context.during("connect", () => {
    if (state.destination) connectTarget(context, fd, state.destination);
    unname();
    // The other end is closed with this byte unread.
    if (state.connectionReset) trySend(fd, Buffer.alloc(1), [], undefined);
    if (state.shutdown) attempt("shutdown", fd, SHUT[state.shutdown]);
    thawFilter(fd, state.filter);
    thawOptions(fd, state.options, "late");
  });
  return fd;
}

/** Gets systemd's socket; what had been set and was waiting is added where it is a new one. */
function thawTaken(state: UnixState, activation: Activation, context: ThawContext): LocalFd {
  const { fd, isSame } = takeActivated(activation, context);
  const { name, listening, queue } = state;
  if (name) namesOf(context).set(name.name, fd);
  context.during("fill", () => {
    if (!isSame && queue) fillTaken(state, queue, activation, context, fd);
    connectPending(state, context, fd);
  });
  if (isSame) return fd;
  noteUnset(activation, matchOptions(fd, state.options, unixOptions(fd, activation.type)), context);
  thawFilter(fd, state.filter);
  // A program that called listen(2) itself is who its clients see.
  if (listening?.creator && context.process(listening.creator.pid)) listen(listening, context, fd);
  return fd;
}

/** Others may be sending there already, and how many messages may wait is limited. */
function fillTaken(
  state: UnixState,
  queue: Queue,
  { unit, address }: Activation,
  context: ThawContext,
  fd: LocalFd,
): void {
  try {
    if (isPathName(address)) withFileOf(fd, (file) => fill(state, queue, context, undefined, file));
    else fill(state, queue, context, undefined);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== "EAGAIN") throw error;
    const count = queue.messages.length;
    context.note(
      `Of ${count} messages that waited at ${address} (${unit}), not all found room beside those that have come since; the rest is lost.`,
    );
  }
}

/** Those that had connected and were not accepted. */
function connectPending({ name, listening }: UnixState, context: ThawContext, socket: LocalFd): void {
  const { pending = [], pendingPeers: pendingBy = [] } = listening ?? {};
  pending.forEach((id, i) => connectAs(pendingBy[i], context, context.file(id), { socket, name: name as BoundName }));
}

/** Sockets of the set by name, for datagrams that came from them. */
const named = new Memo(() => new Map<string, LocalFd>());
function namesOf(context: ThawContext): Map<string, LocalFd> {
  const known = context.memo(named);
  return known;
}

function newSocket({ type }: { type: string }, context: ThawContext): LocalFd {
  return context.keep(
    call("socket", "Making a socket", AF.AF_UNIX, parseFlags(SOCK, type) | SOCK_CLOEXEC, 0) as LocalFd,
  );
}

function listen({ backlog, creator }: NonNullable<UnixState["listening"]>, context: ThawContext, fd: LocalFd): void {
  const process = creator && context.process(creator.pid);
  if (!process) {
    call("listen", "Listening", fd, backlog);
    return;
  }
  // Lent before: with the creator's ids alone, nothing can be fetched from us.
  process.lend(fd, (remote) =>
    asCreator(process, creator, (scope) => scope.call("listen", "Listening", remote, backlog)),
  );
}

/** Datagrams to a service that is not there (yet): senders such as syslog(3) connect again by themselves. */
function connectTarget(context: ThawContext, fd: LocalFd, target: BoundName): void {
  try {
    connectUnix(context, fd, target);
  } catch (error) {
    const errno = error instanceof SyscallError ? error.errno : (error as NodeJS.ErrnoException).code;
    context.note(
      `A socket for datagrams to ${target.name} comes back without a connection (${errno}): what is sent through it fails with ENOTCONN until the program connects it again.`,
    );
  }
}

/** `file` is the socket's own, where its name may lead elsewhere. */
function fill(state: UnixState, queue: Queue, context: ThawContext, peer: LocalFd | undefined, file?: LocalFd): void {
  if (peer !== undefined) {
    withLargeBuffer(peer, () => refillQueue(context, queue, () => ({ fd: peer })));
    return;
  }
  const done: (() => void)[] = [];
  const senders = new Map<string | undefined, LocalFd>();
  const reach = state.name && reachOf(context, state.name);
  const to = unixAddress(file === undefined ? (reach?.name ?? "") : `/proc/self/fd/${file}`);
  const route = (from: string | undefined): { fd: LocalFd; to: Buffer } => {
    let sender = senders.get(from) ?? (from === undefined ? undefined : namesOf(context).get(from));
    if (sender === undefined) {
      const made = call(
        "socket",
        "Making a socket",
        AF.AF_UNIX,
        parseFlags(SOCK, state.type) | SOCK_CLOEXEC,
        0,
      ) as LocalFd;
      const unname = from === undefined ? nothing : bindUnix(context, made, { name: from, ...inSame(state.name) });
      done.push(() => {
        unname();
        closeSync(made);
      });
      sender = made;
    }
    senders.set(from, sender);
    return { fd: sender, to };
  };
  // What is in flight is opened before this thread goes where it may not find it.
  for (const id of queue.messages.flatMap(({ files }) => files ?? [])) context.file(id);
  const bytes = context.blob(queue.blob);
  try {
    inPlaceOf(context, reach ?? {}, () => refillQueue(context, queue, route, bytes));
  } finally {
    for (const action of done) action();
  }
}

function inSame(name: BoundName | undefined): Pick<BoundName, "directory" | "root"> {
  return {
    ...(name?.directory !== undefined && { directory: name.directory }),
    ...(name?.root !== undefined && { root: name.root }),
  };
}

function withLargeBuffer(fd: LocalFd, use: () => void): void {
  const before = getInt(fd, SOL.SOL_SOCKET, SO.SO_SNDBUF) ?? 0;
  setBufferSize(fd, "SO_SNDBUF", LARGE_BUFFER);
  use();
  setBufferSize(fd, "SO_SNDBUF", before);
}
