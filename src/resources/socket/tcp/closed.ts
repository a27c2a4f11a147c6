/**
 * A TCP socket whose connection is over, though the program has not closed it: reading gives what is left and then the
 * end, writing fails with EPIPE. It is made again as a connection to ourselves that a reset ends at once.
 */
import { POLL } from "../../../abi/poll.ts";
import { pollNow } from "../../../sys/poll.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { call } from "../../../sys/call.ts";
import { F, O } from "../../../abi/fcntl.ts";
import { NativeBuffer } from "../../../sys/ffi.unsafe.ts";
import { receive, send } from "../../../sys/message.ts";
import { TCP_FLAG } from "../../../abi/packet.ts";
import { injectSegment } from "../../../sys/packet.ts";
import { type InetAddress, inetAddress } from "../../../abi/sockaddr.ts";
import { AF, IPPROTO, MSG, SIOCINQ, SO, SOCK, SOL } from "../../../abi/socket.ts";
import { getInt, ioctlInt, tryAddress, useAddress } from "../../../sys/socket.ts";
import { LEAVE, QUEUE } from "../../../abi/tcp.ts";
import { chooseQueue, enterRepair, leaveRepair, setQueueEnd } from "../../../sys/tcp.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import type { OpenFile } from "../../freeze-context.ts";
import type { ThawContext } from "../../thaw-context.ts";
import { errorSchema, type PendingError } from "../pending-error.ts";
import { localAddress, newInetSocket } from "../inet-common.ts";
import { isPlainV4, PASS_MARK } from "../quarantine/rules.ts";

export const endedSchema = v.strictObject({
  /** What was received and is not read yet. */
  received: v.optional(v.string()),
  /** What the program is to be told of it, and was not told yet. */
  error: v.optional(errorSchema),
});
export type Ended = v.InferOutput<typeof endedSchema>;

/** Of a socket in state CLOSE: only one that was connected before is shut down for reading. */
export function freezeEnded(file: OpenFile, error: PendingError | undefined): Ended | undefined {
  if ((pollNow(file.local, POLL.POLLRDHUP) & POLL.POLLRDHUP) === 0) return undefined;
  return lookAtRest(file, error);
}

/** What was received and not read. */
export function lookAtRest(file: OpenFile, error: PendingError | undefined): Ended {
  const about = error && { error };
  const length = ioctlInt(file.local, SIOCINQ) ?? 0;
  if (length === 0) return { ...about };
  using room = new NativeBuffer(length + 1);
  const message = receive(file.local, room, MSG.MSG_PEEK | MSG.MSG_DONTWAIT);
  if (typeof message === "number" || message.data.length === 0) return { ...about };
  return { ...about, received: file.context.blob(`tcp:${file.stat.inode}:receive`, { bytes: message.data }) };
}

const START = 1;
/** The discard service: nobody has to be there. */
const PORT = 9;

export function thawEnded(
  ended: Ended,
  context: ThawContext,
  fd: LocalFd,
  family: number,
  local: InetAddress | undefined,
): void {
  const received = ended.received === undefined ? Buffer.alloc(0) : context.blob(ended.received);
  const loopback = family === AF.AF_INET ? "127.0.0.1" : "::1";
  const here =
    local && !/^(0\.0\.0\.0|::)$/.test(local.address) ? local : { address: loopback, port: local?.port ?? 0 };
  if (ended.error === "ECONNREFUSED") {
    context.during("connect", () => beRefused(fd, family, here));
    return;
  }
  context.during("fill", () => {
    const about = "Ending a connection again";
    const reuse = getInt(fd, SOL.SOL_SOCKET, SO.SO_REUSEADDR) ?? 0;
    enterRepair(fd);
    for (const queue of [QUEUE.SEND, QUEUE.RECEIVE]) {
      chooseQueue(fd, queue);
      setQueueEnd(fd, START);
    }
    const port = here.port === 0 ? 65_000 - (fd % 1000) : here.port;
    useAddress("bind", fd, inetAddress(family, { ...here, port }), about);
    useAddress("connect", fd, inetAddress(family, { ...here, port: PORT }), about);
    chooseQueue(fd, QUEUE.RECEIVE);
    if (received.length > 0) send(fd, received, [], undefined, about);
    const plain = { ...here, address: here.address.replace("::ffff:", "") };
    injectSegment(
      isPlainV4(here.address) ? AF.AF_INET : AF.AF_INET6,
      {
        from: { ...plain, port: PORT },
        to: { ...plain, port },
        sequence: START + received.length,
        acknowledged: START,
        flags: TCP_FLAG.RST | TCP_FLAG.ACK,
        window: 0,
      },
      PASS_MARK,
    );
    leaveRepair(fd, LEAVE.SILENT, reuse);
    // Reading the error takes it away, where the program has been told before.
    if (ended.error === undefined) getInt(fd, SOL.SOL_SOCKET, SO.SO_ERROR);
  });
}

/** Dials a port that is bound and where nobody listens; not waiting for the answer leaves the error to the program. */
function beRefused(fd: LocalFd, family: number, here: InetAddress): void {
  const about = "Being refused a connection again";
  const nobody = newInetSocket({ family, type: SOCK.SOCK_STREAM, protocol: IPPROTO.IPPROTO_TCP });
  try {
    useAddress("bind", nobody, inetAddress(family, { ...here, port: 0 }), about);
    useAddress("bind", fd, inetAddress(family, here), about);
    const flags = call("fcntl", about, fd, F.F_GETFL, 0);
    call("fcntl", about, fd, F.F_SETFL, flags | O.O_NONBLOCK);
    tryAddress("connect", fd, inetAddress(family, localAddress(nobody)));
    call("fcntl", about, fd, F.F_SETFL, flags);
  } finally {
    closeSync(nobody);
  }
}
