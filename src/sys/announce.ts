/** Telling a network whose address is where now: gratuitous ARP (RFC 5227), unsolicited advertisements (RFC 4861). */
import { SIOCGIFINDEX } from "../abi/packet-socket.ts";
import { closeSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { addressBytes, inetAddress } from "../abi/sockaddr.ts";
import { AF, IPPROTO, SOCK, SOCK_CLOEXEC } from "../abi/socket.ts";
import { SyscallError, attempt, call, withStruct } from "./call.ts";
import { trySend } from "./message.ts";
import { setInt, tryAddress } from "./socket.ts";

const ETH_P_ARP = 0x0806;
const ARP = { REQUEST: 1, REPLY: 2 } as const;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const ND_NEIGHBOR_ADVERT = 136;
const ND_OVERRIDE = 0x2000_0000;
const TARGET_LINK_ADDRESS = 2;
const ABOUT = "Telling the network of an address";

interface Place {
  readonly index: number;
  readonly hardware: Buffer;
}

/** Says on the network of the device that has this address that it is here. Nothing where no neighbours can be. */
export function announceAddress(address: string): void {
  const place = placeOf(address);
  if (!place) return;
  if (address.includes(":")) advertise(address, place);
  else for (const kind of [ARP.REQUEST, ARP.REPLY]) sendArp(address, place, kind);
}

/** Of the network namespace that this thread is in. */
function placeOf(address: string): Place | undefined {
  for (const [name, entries = []] of Object.entries(networkInterfaces())) {
    const entry = entries.find((one) => one.address === address && !one.internal);
    if (!entry || /^[0:]*$/.test(entry.mac)) continue;
    const index = indexOf(name);
    if (index !== undefined) return { index, hardware: Buffer.from(entry.mac.replaceAll(":", ""), "hex") };
  }
  return undefined;
}

/** netdevice(7); an alias (`eth0:1`) is its device. */
function indexOf(name: string): number | undefined {
  const fd = call("socket", ABOUT, AF.AF_INET, SOCK.SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    return withStruct(40, (bytes, address) => {
      bytes.write(name.split(":")[0] ?? "", 0, 15, "latin1");
      return attempt("ioctl", fd, SIOCGIFINDEX, address) < 0 ? undefined : bytes.readInt32LE(16);
    });
  } finally {
    closeSync(fd);
  }
}

/** To all, in both forms: some listen to requests only, some to replies only. */
function sendArp(address: string, { index, hardware }: Place, kind: number): void {
  const own = addressBytes(address);
  const packet = Buffer.alloc(28);
  packet.writeUInt16BE(1, 0);
  packet.writeUInt16BE(0x0800, 2);
  packet[4] = 6;
  packet[5] = 4;
  packet.writeUInt16BE(kind, 6);
  hardware.copy(packet, 8);
  own.copy(packet, 14);
  if (kind === ARP.REPLY) hardware.copy(packet, 18);
  own.copy(packet, 24);
  // struct sockaddr_ll, packet(7)
  const to = Buffer.alloc(20);
  to.writeUInt16LE(AF.AF_PACKET, 0);
  to.writeUInt16BE(ETH_P_ARP, 2);
  to.writeInt32LE(index, 4);
  to[11] = 6;
  to.fill(0xff, 12, 18);
  const fd = call("socket", ABOUT, AF.AF_PACKET, SOCK.SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    sendTo(fd, packet, to);
  } finally {
    closeSync(fd);
  }
}

/** The kernel fills in the checksum of what raw sockets of ICMPv6 send. */
function advertise(address: string, { index, hardware }: Place): void {
  const packet = Buffer.alloc(32);
  packet[0] = ND_NEIGHBOR_ADVERT;
  packet.writeUInt32BE(ND_OVERRIDE, 4);
  addressBytes(address).copy(packet, 8);
  packet[24] = TARGET_LINK_ADDRESS;
  packet[25] = 1;
  hardware.copy(packet, 26);
  const fd = call("socket", ABOUT, AF.AF_INET6, SOCK.SOCK_RAW | SOCK_CLOEXEC, IPPROTO.IPPROTO_ICMPV6);
  try {
    setInt(fd, IPPROTO.IPPROTO_IPV6, IPV6_MULTICAST_IF, index, ABOUT);
    setInt(fd, IPPROTO.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255, ABOUT);
    const bound = tryAddress("bind", fd, inetAddress(AF.AF_INET6, { address, port: 0, scope: index }));
    if (bound < 0) throw new SyscallError("bind", bound, ABOUT);
    sendTo(fd, packet, inetAddress(AF.AF_INET6, { address: "ff02::1", port: 0, scope: index }));
  } finally {
    closeSync(fd);
  }
}

function sendTo(fd: number, packet: Buffer, to: Buffer): void {
  const sent = trySend(fd, packet, [], to);
  if (sent < 0) throw new SyscallError("sendmsg", sent, ABOUT);
}
