/** Two unix sockets that are connected to each other: both ends are made at once, whoever holds them. */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { call, withStruct } from "../../../sys/call.ts";
import { AF, SOCK, SOCK_CLOEXEC } from "../../../abi/socket.ts";
import { unixAddress } from "../../../abi/sockaddr.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { parseFlags } from "../../../lib/flags.ts";
import type { ThawContext } from "../../thaw-context.ts";
import type { ObjectKind } from "../../contract.ts";
import { bindUnix, connectToOwn, lendFile, nameSchema, reachOf } from "./name.ts";
import { asCreator, creatorSchema } from "../creator.ts";
import { madeByUser } from "../../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("unix-connection"),
  /** SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET. */
  type: v.string(),
  /** Ends 0 and 1: whether any process, or a message in flight, holds them still. */
  openEnds: v.tuple([v.boolean(), v.boolean()]),
  /** Who made each end, as the other one sees with SO_PEERCRED. */
  creators: v.optional(v.tuple([creatorSchema, creatorSchema])),
  /** The name that end 1 has from the listening socket that accepted it. */
  accepted: v.optional(v.strictObject({ listener: v.optional(v.string()), name: nameSchema })),
  /** The name that end 0 was bound to before it connected. */
  bound: v.optional(nameSchema),
});
export type UnixConnectionState = v.InferOutput<typeof schema>;

export interface UnixConnection {
  readonly ends: readonly [LocalFd, LocalFd];
}

export const unixConnection: ObjectKind<UnixConnectionState, UnixConnection, "unix-connection"> = {
  name: "unix-connection",
  schema,
  forUser: ({ creators }, view) => madeByUser(view, creators),
  thaw(state, context): UnixConnection {
    const ends = state.accepted ? acceptedPair(state, state.accepted, context) : socketPair(state, context);
    state.openEnds.forEach((held, i) => {
      const end = ends[i] as LocalFd;
      if (held) context.keep(end);
      // What nobody holds is closed after everything that was sent from it.
      else context.during("close", () => closeSync(end));
    });
    return { ends };
  },
};

function newSocket(type: number): LocalFd {
  return call("socket", "Making a socket", AF.AF_UNIX, type | SOCK_CLOEXEC, 0) as LocalFd;
}

function socketPair(state: UnixConnectionState, context: ThawContext): readonly [LocalFd, LocalFd] {
  const type = parseFlags(SOCK, state.type);
  const about = "Making a pair of sockets";
  const process = state.creators && context.process(state.creators[0].pid);
  if (process && state.creators) {
    return asCreator(process, state.creators[0], (scope) => {
      scope.call("socketpair", about, AF.AF_UNIX, type | SOCK_CLOEXEC, 0, scope.put(Buffer.alloc(8)));
      const pair = scope.take(8);
      const [a, b] = [pair.readInt32LE(0), pair.readInt32LE(4)];
      const ends = [process.fetch(a), process.fetch(b)] as const;
      for (const fd of [a, b]) scope.call("close", about, fd);
      return ends;
    });
  }
  return withStruct(8, (bytes, address) => {
    call("socketpair", about, AF.AF_UNIX, type | SOCK_CLOEXEC, 0, address);
    return [bytes.readInt32LE(0) as LocalFd, bytes.readInt32LE(4) as LocalFd];
  });
}

/** By way of a listening socket: the one that is in the set, or one for the moment. */
function acceptedPair(
  state: UnixConnectionState,
  accepted: NonNullable<UnixConnectionState["accepted"]>,
  context: ThawContext,
): readonly [LocalFd, LocalFd] {
  const type = parseFlags(SOCK, state.type);
  let unbind = (): void => undefined;
  const listener = accepted.listener === undefined ? newSocket(type) : context.file(accepted.listener);
  if (accepted.listener === undefined) {
    unbind = bindUnix(context, listener, accepted.name);
    const [client] = state.creators ?? [];
    const server = state.creators?.[1];
    const process = server && context.process(server.pid);
    if (process && client) {
      process.lend(listener, (fd) => asCreator(process, server, (scope) => scope.call("listen", "Listening", fd, 1)));
    } else call("listen", "Listening", listener, 1);
  }
  const end = newSocket(type);
  if (state.bound) bindUnix(context, end, state.bound);
  connectAs(state.creators?.[0], context, end, { socket: listener, name: accepted.name });
  const other = call("accept4", "Accepting a connection", listener, 0, 0, SOCK_CLOEXEC) as LocalFd;
  unbind();
  if (accepted.listener === undefined) closeSync(listener);
  return [end, other];
}

/** Connects as the process did that made the socket, if it is one of the set. */
export function connectAs(
  creator: v.InferOutput<typeof creatorSchema> | undefined,
  context: ThawContext,
  end: LocalFd,
  { socket, name }: { readonly socket: LocalFd; readonly name: v.InferOutput<typeof nameSchema> },
): void {
  const process = creator && context.process(creator.pid);
  if (!process) {
    connectToOwn(end, socket, name);
    return;
  }
  lendFile(socket, name, creator);
  process.lend(end, (fd) =>
    asCreator(process, creator, (scope) => connectRemotely(scope, fd, reachOf(context, name), name.name)),
  );
}

function connectRemotely(
  scope: Parameters<Parameters<typeof asCreator>[2]>[0],
  fd: number,
  { name, directory }: ReturnType<typeof reachOf>,
  shown: string,
): void {
  const about = `Connecting a socket to ${shown}`;
  if (directory !== undefined) scope.call("chdir", about, scope.put(Buffer.from(`${directory}\0`)));
  const raw = unixAddress(name);
  scope.call("connect", about, fd, scope.put(raw), raw.length);
}
