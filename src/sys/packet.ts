/** IP packets put together by hand (RFC 791, RFC 8200, RFC 9293), for what only a packet can do to a socket. */
import { closeSync } from "node:fs";
import { IPV6_HDRINCL, TCP_FLAG, UNREACHABLE } from "../abi/packet.ts";
import { type InetAddress, addressBytes, inetAddress } from "../abi/sockaddr.ts";
import { AF, IPPROTO, SO, SOCK, SOCK_CLOEXEC, SOL } from "../abi/socket.ts";
import { SyscallError, call } from "./call.ts";
import { trySend } from "./message.ts";
import { setInt } from "./socket.ts";

export interface Segment {
  readonly from: InetAddress;
  readonly to: InetAddress;
  readonly sequence: number;
  readonly acknowledged: number;
  readonly flags: number;
  readonly window: number;
  readonly data?: Buffer;
  /** With URG: bytes of the data up to and with the urgent one. */
  readonly urgent?: number;
}

/** A packet of ours to ourselves, as if the peer had sent it; `mark` lets it pass our own filter. */
export function injectSegment(family: number, segment: Segment, mark: number): void {
  const source = addressBytes(segment.from.address);
  const target = addressBytes(segment.to.address);
  inject(family, source, target, IPPROTO.IPPROTO_TCP, encodeTcp(segment, source, target), segment.to, mark);
}

/** Tells the sender of a TCP segment that it did not arrive; quoted with the ports and the number that identify it. */
export function reportUnreachable(
  family: typeof AF.AF_INET | typeof AF.AF_INET6,
  lost: Pick<Segment, "from" | "to" | "sequence">,
  mark: number,
): void {
  const sender = addressBytes(lost.from.address);
  const own = addressBytes(lost.to.address);
  const segment = encodeTcp({ ...lost, acknowledged: 0, flags: TCP_FLAG.ACK, window: 0 }, sender, own);
  const v4 = family === AF.AF_INET;
  const quoted = (v4 ? ipv4Header : ipv6Header)(sender, own, IPPROTO.IPPROTO_TCP, segment.length);
  if (v4) quoted.writeUInt16BE(checksum(quoted), 10);
  const { type, code } = UNREACHABLE[family];
  const report = Buffer.concat([Buffer.from([type, code, 0, 0, 0, 0, 0, 0]), quoted, segment]);
  const protocol = v4 ? IPPROTO.IPPROTO_ICMP : IPPROTO.IPPROTO_ICMPV6;
  report.writeUInt16BE(checksum(v4 ? report : pseudoHeader(own, sender, protocol, report)), 2);
  inject(family, own, sender, protocol, report, lost.from, mark);
}

/** Tells the sender of a datagram that nobody has the port: type 3, code 3 (RFC 792), or type 1, code 4 (RFC 4443). */
export function reportRefused(family: number, { from, to, protocol }: Omit<Datagram, "data">, mark: number): void {
  const sender = addressBytes(from.address);
  const target = addressBytes(to.address);
  const v4 = family === AF.AF_INET;
  const header = Buffer.alloc(8);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt16BE(header.length, 4);
  const quoted = (v4 ? ipv4Header : ipv6Header)(sender, target, protocol, header.length);
  if (v4) quoted.writeUInt16BE(checksum(quoted), 10);
  const report = Buffer.concat([Buffer.from(v4 ? [3, 3, 0, 0, 0, 0, 0, 0] : [1, 4, 0, 0, 0, 0, 0, 0]), quoted, header]);
  const icmp = v4 ? IPPROTO.IPPROTO_ICMP : IPPROTO.IPPROTO_ICMPV6;
  report.writeUInt16BE(checksum(v4 ? report : pseudoHeader(target, sender, icmp, report)), 2);
  inject(family, target, sender, icmp, report, from, mark);
}

/** A packet with its IPv4 header, as a raw socket has received it, once more. */
export function injectPacket(bytes: Buffer, mark: number): void {
  sendRaw(AF.AF_INET, bytes, { address: [...bytes.subarray(16, 20)].join("."), port: 0 }, mark);
}

/** What stands behind the IP header. */
export function injectMessage(
  family: number,
  bytes: Buffer,
  { from, to, protocol }: { readonly from: string; readonly to: string; readonly protocol: number },
  mark: number,
): void {
  inject(family, addressBytes(from), addressBytes(to), protocol, bytes, { address: to, port: 0 }, mark);
}

export interface Datagram {
  readonly from: InetAddress;
  readonly to: InetAddress;
  /** UDP or UDP-Lite: their headers have the same form, with full coverage of the checksum. */
  readonly protocol: number;
  readonly data: Buffer;
}

export function injectDatagram(family: number, { from, to, protocol, data }: Datagram, mark: number): void {
  const source = addressBytes(from.address);
  const target = addressBytes(to.address);
  const datagram = Buffer.concat([Buffer.alloc(8), data]);
  datagram.writeUInt16BE(from.port, 0);
  datagram.writeUInt16BE(to.port, 2);
  datagram.writeUInt16BE(datagram.length, 4);
  // Zero would mean that there is none.
  datagram.writeUInt16BE(checksum(pseudoHeader(source, target, protocol, datagram)) || 0xffff, 6);
  inject(family, source, target, protocol, datagram, to, mark);
}

function inject(
  family: number,
  source: Buffer,
  target: Buffer,
  protocol: number,
  payload: Buffer,
  to: InetAddress,
  mark: number,
): void {
  const header = family === AF.AF_INET ? ipv4Header : ipv6Header;
  sendRaw(family, Buffer.concat([header(source, target, protocol, payload.length), payload]), to, mark);
}

function sendRaw(family: number, packet: Buffer, to: InetAddress, mark: number): void {
  const fd = call("socket", "Making a raw socket", family, SOCK.SOCK_RAW | SOCK_CLOEXEC, IPPROTO.IPPROTO_RAW);
  try {
    if (family === AF.AF_INET6) setInt(fd, IPPROTO.IPPROTO_IPV6, IPV6_HDRINCL, 1, "Preparing a packet");
    setInt(fd, SOL.SOL_SOCKET, SO.SO_MARK, mark, "Preparing a packet");
    const sent = trySend(fd, packet, [], inetAddress(family, { ...to, port: 0 }));
    if (sent < 0) throw new SyscallError("sendmsg", sent, "Sending a packet to ourselves");
  } finally {
    closeSync(fd);
  }
}

/** What a checksum covers besides the packet's own bytes; an odd length counts with a zero at its end. */
function pseudoHeader(source: Buffer, target: Buffer, protocol: number, payload: Buffer): Buffer {
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(payload.length, 0);
  pseudo.writeUInt32BE(protocol, 4);
  return Buffer.concat([source, target, pseudo, payload, Buffer.alloc(payload.length % 2)]);
}

function encodeTcp(segment: Segment, source: Buffer, target: Buffer): Buffer {
  const { from, to, sequence, acknowledged, flags, window, data = Buffer.alloc(0), urgent = 0 } = segment;
  const tcp = Buffer.concat([Buffer.alloc(20), data]);
  tcp.writeUInt16BE(from.port, 0);
  tcp.writeUInt16BE(to.port, 2);
  tcp.writeUInt32BE(sequence >>> 0, 4);
  tcp.writeUInt32BE(acknowledged >>> 0, 8);
  tcp[12] = 5 << 4;
  tcp[13] = flags;
  tcp.writeUInt16BE(window, 14);
  tcp.writeUInt16BE(urgent, 18);
  tcp.writeUInt16BE(checksum(pseudoHeader(source, target, IPPROTO.IPPROTO_TCP, tcp)), 16);
  return tcp;
}

function ipv4Header(source: Buffer, target: Buffer, protocol: number, length: number): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + length, 2);
  header[8] = 64;
  header[9] = protocol;
  source.copy(header, 12);
  target.copy(header, 16);
  return header;
}

function ipv6Header(source: Buffer, target: Buffer, protocol: number, length: number): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(length, 4);
  header[6] = protocol;
  header[7] = 64;
  source.copy(header, 8);
  target.copy(header, 24);
  return header;
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
