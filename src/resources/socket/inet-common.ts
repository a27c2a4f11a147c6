/** What sockets of the internet families have in common. */
import { failures } from "../../errors/catalogue.ts";
import { POLL } from "../../abi/poll.ts";
import { pollNow } from "../../sys/poll.ts";
import { Memo } from "../memo.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { call } from "../../sys/call.ts";
import { networkHere, socketNamespace } from "../../sys/namespaces.ts";
import { type InetAddress, parseInet } from "../../abi/sockaddr.ts";
import { AF, IPPROTO, SO, SOCK, SOCK_CLOEXEC, SOL } from "../../abi/socket.ts";
import { getInt, socketAddress } from "../../sys/socket.ts";
import { S_IF } from "../../abi/stat.ts";
import { TCP_STATE } from "../../abi/tcp.ts";
import { tcpInfo, upperLayer } from "../../sys/tcp.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import type { KernelNeed } from "../conditions.ts";
import type { OpenFile } from "../freeze-context.ts";
import {
  MULTICAST_OPTIONS,
  RAW_OPTIONS,
  TCP_FRESH_OPTIONS,
  TCP_OPTIONS,
  UDP_OPTIONS,
  UDPLITE_OPTIONS,
} from "./option-tables.ts";
import { familyOptions, freezeOptions, type Options } from "./options.ts";

export const inetEnd = v.strictObject({
  address: v.string(),
  port: v.number(),
  scope: v.optional(v.number()),
  flow: v.optional(v.number()),
});

/** What both families of sockets need of a kernel. */
export function inetNeeds(family: "AF_INET" | "AF_INET6"): readonly KernelNeed[] {
  const ip: KernelNeed = { option: "CONFIG_INET", what: "ip(7)" };
  return family === "AF_INET" ? [ip] : [ip, { option: "CONFIG_IPV6", module: "ipv6", what: "ipv6(7)" }];
}

export interface InetSort {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

const sorts = new Memo(() => new Map<OpenFile, InetSort | undefined>());

/** Family, type and protocol, if the file is a socket of IPv4 or IPv6; asked of each file once. */
export function inetSort(file: OpenFile): InetSort | undefined {
  const known = file.context.memo(sorts);
  if (!known.has(file)) known.set(file, readSort(file));
  return known.get(file);
}

function readSort(file: OpenFile): InetSort | undefined {
  if (file.stat.type !== S_IF.S_IFSOCK) return undefined;
  const family = getInt(file.local, SOL.SOL_SOCKET, SO.SO_DOMAIN) ?? 0;
  if (family !== AF.AF_INET && family !== AF.AF_INET6) return undefined;
  const type = getInt(file.local, SOL.SOL_SOCKET, SO.SO_TYPE) ?? 0;
  const protocol = getInt(file.local, SOL.SOL_SOCKET, SO.SO_PROTOCOL) ?? 0;
  return { family, type, protocol };
}

/** Whether it is a TCP socket that has, or had, another end. */
export function isTcpConnection(file: OpenFile): boolean {
  const sort = inetSort(file);
  if (!sort || sort.protocol !== IPPROTO.IPPROTO_TCP) return false;
  const state = tcpInfo(file.local)?.state;
  return state !== undefined && state !== TCP_STATE.LISTEN && state !== TCP_STATE.CLOSE;
}

export function familyName(family: number): string {
  return nameOf(AF, family) ?? String(family);
}

export function protocolName(protocol: number): string {
  return nameOf(IPPROTO, protocol) ?? String(protocol);
}

export function newInetSocket({ family, type, protocol }: InetSort): LocalFd {
  return call("socket", "Making a socket", family, type | SOCK_CLOEXEC, protocol) as LocalFd;
}

export function inetOptions(file: OpenFile, sort: InetSort): Options {
  const wasConnected = isTcpConnection(file) || (pollNow(file.local, POLL.POLLRDHUP) & POLL.POLLRDHUP) !== 0;
  return inetOptionsOf(file.local, sort, wasConnected);
}

/** Those of a socket of ours; `wasConnected` tells of TCP. */
export function inetOptionsOf(fd: LocalFd, sort: InetSort, wasConnected: boolean): Options {
  const own = ownOptions(sort, wasConnected);
  const key = `${sort.family}:${sort.type}:${sort.protocol}:${own.length}`;
  return freezeOptions(fd, [...familyOptions(sort.family), ...own], key, () => newInetSocket(sort), closeSync);
}

function ownOptions({ type, protocol }: InetSort, wasConnected: boolean): Parameters<typeof freezeOptions>[1] {
  if (type === SOCK.SOCK_RAW) return [RAW_OPTIONS, MULTICAST_OPTIONS];
  if (PING.includes(protocol)) return [MULTICAST_OPTIONS];
  if (protocol === IPPROTO.IPPROTO_UDPLITE) return [UDP_OPTIONS, UDPLITE_OPTIONS, MULTICAST_OPTIONS];
  if (protocol !== IPPROTO.IPPROTO_TCP) return [UDP_OPTIONS, MULTICAST_OPTIONS];
  return wasConnected ? [TCP_OPTIONS] : [TCP_OPTIONS, TCP_FRESH_OPTIONS];
}

/** Of datagrams: sockets that only send echo requests and hear the replies (icmp(7)). */
export const PING: readonly number[] = [IPPROTO.IPPROTO_ICMP, IPPROTO.IPPROTO_ICMPV6];

export function localAddress(fd: LocalFd): InetAddress {
  return parseInet(socketAddress(fd, "getsockname") as Buffer);
}

export function peerAddress(fd: LocalFd): InetAddress | undefined {
  const raw = socketAddress(fd, "getpeername");
  return raw && parseInet(raw);
}

export function showAddress({ address, port }: InetAddress): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** Sockets are made in the network namespace that kmonte runs in. */
export function refuseForeignNetwork(file: OpenFile): void {
  const network = socketNamespace(file.local);
  if (network === undefined || network === networkHere()) return;
  throw failures.NETWORK_NAMESPACE.named({ file, network });
}

/** Other networks, and upper layers that cannot be made again. */
export function refuseStrange(file: OpenFile, sort: InetSort): void {
  refuseForeignNetwork(file);
  const layer = sort.protocol === IPPROTO.IPPROTO_TCP ? upperLayer(file.local) : undefined;
  if (layer !== undefined) {
    throw failures.TCP_ULP({ file, layer });
  }
}
