/** A TCP connection (tcp(7)) in any state that has another end, by way of TCP_REPAIR. */
import { failures } from "../../../errors/catalogue.ts";
import * as v from "valibot";
import { AF, IPPROTO } from "../../../abi/socket.ts";
import { TCP_STATE } from "../../../abi/tcp.ts";
import { nameOf } from "../../../lib/flags.ts";
import type { FileKind } from "../../contract.ts";
import { filterSchema, freezeFilter } from "../filter.ts";
import {
  familyName,
  inetNeeds,
  inetOptions,
  inetSort,
  type InetSort,
  isTcpConnection,
  newInetSocket,
  refuseStrange,
  showAddress,
} from "../inet-common.ts";
import { optionsSchema } from "../options.ts";
import { isClosedExternal } from "../close-external.ts";
import { flowSchema } from "../quarantine/rules.ts";
import { checkNetwork, networkNeed } from "../quarantine/requirements.ts";
import { freezeKeys, md5KeysSchema } from "./md5.ts";
import { tcpSockets } from "../inet-snapshot.ts";
import { lookAtConnections } from "./snapshot.ts";
import { lookAtUrgent, urgentSchema } from "./urgent.ts";
import { PEER_ENDED, thawConnection } from "./restore.ts";
import { asAnyUser } from "../ordinary-user.ts";

const sequence = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));

const schema = v.strictObject({
  family: v.picklist(["AF_INET", "AF_INET6"]),
  /** ESTABLISHED, CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, CLOSING or LAST_ACK. */
  state: v.picklist(["ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK"]),
  ...flowSchema.entries,
  options: optionsSchema,
  filter: v.optional(filterSchema),
  md5Keys: v.optional(md5KeysSchema),
  mss: v.number(),
  windowScale: v.optional(v.strictObject({ send: v.number(), receive: v.number() })),
  sack: v.boolean(),
  timestamps: v.boolean(),
  /** The clock that its packets carry. */
  timestamp: sequence,
  window: v.strictObject({
    snd_wl1: sequence,
    snd_wnd: sequence,
    max_window: sequence,
    rcv_wnd: sequence,
    rcv_wup: sequence,
  }),
  /** Sequence numbers behind the last byte of each queue; a FIN counts as one byte. */
  sendEnd: sequence,
  receiveEnd: sequence,
  /** Bytes at the end of the send queue that were never sent. */
  unsent: v.number(),
  sendQueue: v.optional(v.string()),
  receiveQueue: v.optional(v.string()),
  urgent: v.optional(urgentSchema),
  /** The program hears nothing more (SHUT_RD). */
  receiveShutdown: v.optional(v.literal(true)),
  /** The table of nftables that keeps the address silent until the thaw. */
  quarantine: v.optional(v.string()),
});
export type TcpState = v.InferOutput<typeof schema>;

const RECEIVING = 1;

export const tcpConnection: FileKind<TcpState, "tcp-connection"> = {
  name: "tcp-connection",
  schema,
  forUser: ({ local, options }) => asAnyUser(local.port, options),
  needs: ({ family }) => inetNeeds(family),
  recognise: (file) => isTcpConnection(file) && !isClosedExternal(file),
  freeze(file) {
    const sort = inetSort(file) as InetSort;
    refuseStrange(file, sort);
    const seen = lookAtConnections(file.context).get(file.stat.inode);
    const state = nameOf(TCP_STATE, seen?.snapshot.info.state ?? 0);
    if (!seen || !v.is(schema.entries.state, state)) {
      throw failures.TCP_STATE({ file, state: state ?? "unknown" });
    }
    const { flow, snapshot } = seen;
    const filter = freezeFilter(file);
    const info = tcpSockets(file.context).byInode.get(Number(file.stat.inode));
    const keys = freezeKeys(file, info);
    const fin = Number(snapshot.info.state !== TCP_STATE.ESTABLISHED && PEER_ENDED.includes(state));
    const total = Math.max((info?.unread ?? 0) - fin, snapshot.received.length);
    const urgent = lookAtUrgent(file, snapshot.received, total);
    const received = urgent?.received ?? snapshot.received;
    const deaf = ((info?.shutdown ?? 0) & RECEIVING) !== 0 && fin === 0;
    const blob = (queue: string, bytes: Buffer): string =>
      file.context.blob(`tcp:${file.stat.inode}:${queue}`, { bytes });
    const { windowScale, sack, timestamps } = snapshot.info;
    return {
      family: familyName(sort.family) as TcpState["family"],
      state,
      ...flow,
      options: inetOptions(file, sort),
      ...(filter !== undefined && { filter }),
      ...(keys && { md5Keys: keys }),
      mss: snapshot.mss,
      ...(windowScale && { windowScale }),
      sack,
      timestamps,
      timestamp: snapshot.timestamp,
      window: snapshot.window,
      sendEnd: snapshot.sendEnd,
      receiveEnd: snapshot.receiveEnd,
      unsent: snapshot.unsent,
      ...(snapshot.sent.length > 0 && { sendQueue: blob("send", snapshot.sent) }),
      ...(received.length > 0 && { receiveQueue: blob("receive", received) }),
      ...(urgent && { urgent: urgent.urgent }),
      ...(deaf && { receiveShutdown: true as const }),
      ...(seen.quarantine !== undefined && { quarantine: seen.quarantine }),
    };
  },
  network(state) {
    const { quarantine: table, local, remote } = state;
    return { need: networkNeed(state), ...(table !== undefined && { quarantine: { table, flow: { local, remote } } }) };
  },
  check: checkNetwork,
  thaw(state, context) {
    const fd = context.keep(newInetSocket({ family: AF[state.family], type: 1, protocol: IPPROTO.IPPROTO_TCP }));
    thawConnection(state, context, fd, `TCP connection ${showAddress(state.local)} to ${showAddress(state.remote)}`);
    return fd;
  },
};
