/** Sockets of IPv4 and IPv6 as sock_diag(7) tells of them (include/uapi/linux/inet_diag.h). */
import { INET_DIAG_ID_AT, INET_DIAG_ID_SIZE, INET_DIAG_MSG_SIZE, INET_DIAG_SHUTDOWN } from "../abi/sock-diag.ts";
import { attributesOf } from "../abi/netlink-diag.ts";
import { type InetAddress, parseInet } from "../abi/sockaddr.ts";
import { AF } from "../abi/socket.ts";

export interface InetSocketInfo {
  readonly family: number;
  /** TCP's numbers. */
  readonly state: number;
  readonly local: InetAddress;
  readonly remote: InetAddress;
  /** Bytes that were received and not read; a FIN counts as one until it was read. */
  readonly unread: number;
  /** Bytes that were not acknowledged yet. */
  readonly unacknowledged: number;
  /** 0 when no process has it: closed, or not accepted yet. */
  readonly inode: number;
  /** 1 no more receiving, 2 no more sending. */
  readonly shutdown: number;
  readonly attributes: ReadonlyMap<number, Buffer>;
  /** struct inet_diag_sockid, for asking about this one. */
  readonly id: Buffer;
}

/** An attribute: struct tcp_info. */
export const INET_DIAG_INFO = 2;

/** struct inet_diag_req_v2: all sockets of a family and protocol in any of the states of a mask. */
export function inetDiagRequest(family: number, protocol: number, states = 0xffff_ffff): Buffer {
  const request = Buffer.alloc(56);
  request[0] = family;
  request[1] = protocol;
  // INET_DIAG_INFO: without it, keys of MD5 signatures are left out too.
  request[2] = INET_DIAG_INFO;
  request.writeUInt32LE(states, 4);
  return request;
}

/** The same struct, naming one socket. */
export function inetDiagOne(protocol: number, { family, id }: InetSocketInfo): Buffer {
  const request = inetDiagRequest(family, protocol);
  id.copy(request, 8);
  return request;
}

export function parseInetDiag(body: Buffer): InetSocketInfo {
  const family = body[0] as number;
  const id = body.subarray(INET_DIAG_ID_AT, INET_DIAG_ID_AT + INET_DIAG_ID_SIZE);
  const at = (port: number, address: number): InetAddress => {
    const raw = Buffer.alloc(28);
    raw.writeUInt16LE(family, 0);
    id.copy(raw, 2, port, port + 2);
    id.copy(raw, family === AF.AF_INET ? 4 : 8, address, address + (family === AF.AF_INET ? 4 : 16));
    return parseInet(raw);
  };
  const attributes = attributesOf(body, INET_DIAG_MSG_SIZE);
  return {
    family,
    state: body[1] as number,
    local: at(0, 4),
    remote: at(2, 20),
    unread: body.readUInt32LE(56),
    unacknowledged: body.readUInt32LE(60),
    inode: body.readUInt32LE(68),
    shutdown: attributes.get(INET_DIAG_SHUTDOWN)?.[0] ?? 0,
    attributes,
    id: Buffer.from(id),
  };
}

/** An address without what only one way of writing it has: `::ffff:1.2.3.4` is the same host as 1.2.3.4. */
export function plainEnd({ address, port }: InetAddress): string {
  return `${address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address} ${port}`;
}
