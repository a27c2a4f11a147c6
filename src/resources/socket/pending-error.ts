/**
 * Errors that a socket has not told its program yet (SO_ERROR, socket(7)). Looking at one takes it away, so it is
 * concluded from what led to it, where only one thing can have; anything else is refused.
 */
import { failures } from "../../errors/catalogue.ts";
import { POLL } from "../../abi/poll.ts";
import { pollNow } from "../../sys/poll.ts";
import { TCP_INFO } from "../../abi/tcp.ts";
import * as v from "valibot";
import { IPPROTO } from "../../abi/socket.ts";
import { getOption } from "../../sys/socket.ts";
import { TCP_STATE } from "../../abi/tcp.ts";
import { formatFlags } from "../../lib/flags.ts";
import { isLoopback } from "../../abi/sockaddr.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { InetSort } from "./inet-common.ts";

export const errorSchema = v.picklist(["ECONNRESET", "ECONNREFUSED"]);
export type PendingError = v.InferOutput<typeof errorSchema>;

/** On the loopback device nothing gets lost and nobody but the other end answers. */
export function freezeError(
  file: OpenFile,
  sort: InetSort,
  local: string,
  remote: string | undefined,
): PendingError | undefined {
  const events = pollNow(file.local, POLL.POLLIN);
  if ((events & POLL.POLLERR) === 0) return undefined;
  if (isLoopback(local)) {
    if (sort.protocol === IPPROTO.IPPROTO_TCP) {
      const error = concludeTcp(file);
      if (error) return error;
    } else if (sort.protocol === IPPROTO.IPPROTO_UDP && remote !== undefined && isQuiet(file, sort, events)) {
      return "ECONNREFUSED";
    }
  }
  throw failures.SOCKET_ERROR.orReport({ file, events: formatFlags(POLL, events) });
}

/**
 * Nothing else to read: a datagram could not be looked at without taking the error. Reports of IP_RECVERR stand in a
 * queue of their own, which only taking empties.
 */
function isQuiet(file: OpenFile, sort: InetSort, events: number): boolean {
  return (events & POLL.POLLIN) === 0 && !hasErrorQueue(file, sort);
}

function hasErrorQueue(file: OpenFile, { family }: InetSort): boolean {
  const options = [
    [IPPROTO.IPPROTO_IP, 11],
    [IPPROTO.IPPROTO_IPV6, 25],
  ] as const;
  const mine = family === 2 ? options.slice(0, 1) : options;
  return mine.some(([level, option]) => getOption(file.local, level, option)?.some((byte) => byte !== 0));
}

/**
 * A first packet that was answered with a reset is ECONNREFUSED, and the socket never got a segment that counts. Later
 * resets are ECONNRESET, or EPIPE when the peer had closed before; then something was sent that nobody acknowledged.
 */
function concludeTcp(file: OpenFile): PendingError | undefined {
  const info = getOption(file.local, IPPROTO.IPPROTO_TCP, 11, TCP_INFO.SIZE);
  if (!info || info.length < TCP_INFO.SIZE || info[0] !== TCP_STATE.CLOSE) return undefined;
  const acknowledged = info.readBigUInt64LE(TCP_INFO.BYTES_ACKED);
  if (info.readUInt32LE(TCP_INFO.TOTAL_RETRANS) > 0) return undefined;
  const established = acknowledged > 0n || info.readUInt32LE(TCP_INFO.SEGS_IN) > 1;
  if (!established) return "ECONNREFUSED";
  return info.readBigUInt64LE(TCP_INFO.BYTES_SENT) <= acknowledged ? "ECONNRESET" : undefined;
}
