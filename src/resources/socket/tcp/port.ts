/**
 * A port that a socket had alone (no SO_REUSEADDR) while connections of it were on their way out of the kernel: they have
 * no process, keep the port from being bound again for a minute, and are of no use to anybody any more.
 */
import { SyscallError } from "../../../sys/call.ts";
import { ERRNO } from "../../../abi/errno.ts";
import { attempt } from "../../../sys/call.ts";
import { sockDestroy } from "../../../sys/netlink-diag.ts";
import { type InetAddress, inetAddress } from "../../../abi/sockaddr.ts";
import { IPPROTO } from "../../../abi/socket.ts";
import { tryAddress } from "../../../sys/socket.ts";
import { TCP_STATE } from "../../../abi/tcp.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { inetDiagOne } from "../../../proc/inet-diag.ts";
import { sleepMicroseconds } from "../../../tracee/stops.ts";
import { dumpTcp } from "../inet-snapshot.ts";
import { removeTable, quarantineFor } from "../quarantine/quarantine.ts";

/** TCP_TIMEWAIT_LEN is a minute. */
const PATIENCE_MS = 65_000;
const PAUSE_US = 50_000;
const LEAVING: readonly number[] = [
  TCP_STATE.TIME_WAIT,
  TCP_STATE.FIN_WAIT1,
  TCP_STATE.FIN_WAIT2,
  TCP_STATE.CLOSING,
  TCP_STATE.LAST_ACK,
];

export function bindPort(fd: LocalFd, family: number, local: InetAddress, about: string): void {
  retry(local, about, "bind", () => tryAddress("bind", fd, inetAddress(family, local)));
}

export function listenAgain(fd: LocalFd, local: InetAddress, backlog: number): void {
  retry(local, "Listening", "listen", () => attempt("listen", fd, backlog));
}

function retry(local: InetAddress, about: string, name: string, action: () => number): void {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const result = action();
    if (result >= 0) return;
    const busy = result === -ERRNO.EADDRINUSE && local.port !== 0 && clearPort(local.port) > 0;
    if (!busy || Date.now() > deadline) throw new SyscallError(name, result, about);
    sleepMicroseconds(PAUSE_US);
  }
}

/** Ends what is leaving the port; returns how many there were. Those that have a process are somebody's. */
function clearPort(port: number): number {
  const mask = LEAVING.reduce((all, state) => all | (1 << state), 0);
  const leaving = dumpTcp(mask).filter((info) => info.local.port === port && info.inode === 0);
  // Ending a connection would tell the other end with a reset.
  const halves = leaving.filter(({ state }) => state !== TCP_STATE.TIME_WAIT);
  const table = halves.length > 0 ? quarantineFor(halves) : undefined;
  for (const info of leaving) sockDestroy(inetDiagOne(IPPROTO.IPPROTO_TCP, info));
  if (table !== undefined) removeTable(table);
  return leaving.length;
}
