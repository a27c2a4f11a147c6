/** A unix socket (unix(7)): listening, connected, bound, or none of these. */
import { failures } from "../../../errors/catalogue.ts";
import { POLL } from "../../../abi/poll.ts";
import { pollNow } from "../../../sys/poll.ts";
import * as v from "valibot";
import { SHUT, SOCK } from "../../../abi/socket.ts";
import { formatFlags, nameOf } from "../../../lib/flags.ts";
import { TCP_LISTEN } from "../../../proc/unix-diag.ts";
import type { FileKind } from "../../contract.ts";
import { activationOf, activationSchema, ofManager } from "../activation/activated.ts";
import { checkActivated } from "../activation/restore.ts";
import { creatorSchema, peerCredentials } from "../creator.ts";
import { filterSchema, freezeFilter } from "../filter.ts";
import { checkJournal, journalStreamSchema } from "./journal-stream.ts";
import { optionsSchema } from "../options.ts";
import { queueSchema } from "../receive-queue.ts";
import { unixOptions } from "./options.ts";
import { isUnixSocket, lookAtUnixSockets, type SeenSocket } from "./snapshot.ts";
import { freezeName, nameSchema } from "./name.ts";
import { freezePeer, freezePending } from "./peer.ts";
import { thawUnixSocket } from "./restore.ts";
import { madeByUser } from "../../ordinary-user.ts";

const schema = v.strictObject({
  type: v.string(),
  /** What bind(2) was called with; an accepted socket has its name from its listener instead. */
  name: v.optional(nameSchema),
  options: optionsSchema,
  /** The connection that it is one end of. */
  connection: v.optional(v.strictObject({ object: v.string(), end: v.picklist([0, 1]) })),
  /** A listening socket: its backlog, and the sockets that connected and were not accepted yet, in order. */
  listening: v.optional(
    v.strictObject({
      backlog: v.number(),
      pending: v.array(v.string()),
      creator: v.optional(creatorSchema),
      /** Who connected them. */
      pendingPeers: v.optional(v.array(creatorSchema)),
    }),
  ),
  /** A datagram socket that sends to one name unless told otherwise. */
  destination: v.optional(nameSchema),
  /** What it is connected to is opened anew. */
  journal: v.optional(journalStreamSchema),
  queue: v.optional(queueSchema),
  filter: v.optional(filterSchema),
  /** The other end went away with unread data: the next call here fails with ECONNRESET. */
  connectionReset: v.optional(v.literal(true)),
  /** systemd has it as well, and makes it anew. */
  activation: v.optional(activationSchema),
  /** If shutdown(2) was called. */
  shutdown: v.optional(v.picklist(Object.keys(SHUT) as (keyof typeof SHUT)[])),
});
export type UnixState = v.InferOutput<typeof schema>;

const SHUTDOWNS = [undefined, "SHUT_RD", "SHUT_WR", "SHUT_RDWR"] as const;

export const unixSocket: FileKind<UnixState, "unix-socket"> = {
  name: "unix-socket",
  schema,
  *forUser({ listening, activation }, view) {
    if (activation) yield ofManager(activation);
    else if (listening) yield* madeByUser(view, listening.creator && [listening.creator]);
  },
  *paths({ name }) {
    const { path, identity } = name?.file?.parent ?? {};
    if (path !== undefined) yield { folder: path, identity };
  },
  needs: () => [{ option: "CONFIG_UNIX", module: "unix", what: "unix(7)" }],
  recognise: isUnixSocket,
  freeze(file) {
    const look = lookAtUnixSockets(file.context);
    const me = look.inside.get(Number(file.stat.inode));
    if (!me) {
      throw failures.NETWORK_NAMESPACE.other({ file });
    }
    const reset = stateOfErrors(me);
    const peer = me.info.state === TCP_LISTEN ? {} : freezePeer(me, look);
    const activation = activationOf(file);
    // Its file is systemd's to make.
    const name = peer.named ? undefined : activation ? { name: me.info.name } : freezeName(file, me.info);
    const shutdown = SHUTDOWNS[me.info.shutdown & 3];
    const filter = freezeFilter(file);
    const creator = peerCredentials(file);
    return {
      type: nameOf(SOCK, me.info.type) ?? String(me.info.type),
      ...(name && { name }),
      options: unixOptions(file.local, me.info.type),
      ...(me.queue && { queue: me.queue }),
      ...(filter !== undefined && { filter }),
      ...(reset && { connectionReset: reset }),
      ...(shutdown && { shutdown }),
      ...(activation && { activation }),
      ...(peer.connection && { connection: peer.connection }),
      ...(peer.target && { destination: peer.target }),
      ...(peer.journal && { journal: peer.journal }),
      ...(me.info.state === TCP_LISTEN && {
        listening: { backlog: me.info.backlog, ...freezePending(me, look), ...(creator && { creator }) },
      }),
    };
  },
  ofMachine: ({ activation }) => activation !== undefined,
  check: ({ journal, activation }) => (activation ? checkActivated(activation) : journal && checkJournal(journal)),
  thaw: thawUnixSocket,
};

/** An error that waits to be told can only be made again where it comes from a peer that has gone. */
function stateOfErrors({ file, info }: SeenSocket): true | undefined {
  const events = pollNow(file.local, POLL.POLLPRI);
  if ((events & POLL.POLLPRI) !== 0) {
    throw failures.SOCKET_URGENT_DATA({ file });
  }
  if ((events & POLL.POLLERR) === 0) return undefined;
  if (info.type === SOCK.SOCK_STREAM && info.peer === 0) return true;
  throw failures.SOCKET_ERROR.untold({ file, events: formatFlags(POLL, events) });
}
