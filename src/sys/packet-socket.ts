/** packet(7) (include/uapi/linux/if_packet.h, packet_diag.h). */
import { attributesOf } from "../abi/netlink-diag.ts";
import {
  ATTRIBUTE,
  IFNAMSIZ,
  IFREQ_SIZE,
  MEMBERSHIP_SIZE,
  MESSAGE_SIZE,
  RING_WORDS,
  SHOW,
  SIOCGIFINDEX,
  SIOCGIFNAME,
} from "../abi/packet-socket.ts";
import { AF } from "../abi/socket.ts";
import { call, withStruct } from "./call.ts";
import { sockDiagDump } from "./netlink-diag.ts";

/** The name of a network device, in the namespace of the socket. */
export function interfaceName(socket: number, index: number): string {
  return withStruct(IFREQ_SIZE, (request, at) => {
    request.writeInt32LE(index, IFNAMSIZ);
    call("ioctl", `Asking for the name of network device ${index}`, socket, SIOCGIFNAME, at);
    return request.toString("latin1", 0, IFNAMSIZ).replace(/\0.*$/, "");
  });
}

export function interfaceIndex(socket: number, name: string): number {
  return withStruct(IFREQ_SIZE, (request, at) => {
    request.write(name, 0, "latin1");
    call("ioctl", `Looking for network device ${name}`, socket, SIOCGIFINDEX, at);
    return request.readInt32LE(IFNAMSIZ);
  });
}

interface Membership {
  readonly index: number;
  readonly count: number;
  readonly type: number;
  readonly address: Buffer;
}

export interface PacketSocketInfo {
  readonly inode: number;
  /** The protocol, in the host's byte order. */
  readonly protocol: number;
  readonly index: number;
  readonly version: number;
  readonly memberships: readonly Membership[];
  /** The seven words of struct packet_diag_ring, which are those of struct tpacket_req3. */
  readonly receiveRing: readonly number[] | undefined;
  readonly sendRing: readonly number[] | undefined;
}

/** All packet sockets of this thread's network namespace. */
export function packetSockets(): PacketSocketInfo[] {
  const request = Buffer.alloc(20);
  request[0] = AF.AF_PACKET;
  request.writeUInt32LE(SHOW, 8);
  return sockDiagDump(request).map(parse);
}

function parse(body: Buffer): PacketSocketInfo {
  const attributes = attributesOf(body, MESSAGE_SIZE);
  const info = attributes.get(ATTRIBUTE.INFO);
  const list = attributes.get(ATTRIBUTE.MCLIST) ?? Buffer.alloc(0);
  const ring = (which: number): number[] | undefined => {
    const bytes = attributes.get(which);
    return bytes && Array.from({ length: RING_WORDS }, (_, i) => bytes.readUInt32LE(i * 4));
  };
  return {
    inode: body.readUInt32LE(4),
    protocol: body.readUInt16LE(2),
    index: info?.readUInt32LE(0) ?? 0,
    version: info?.readUInt32LE(4) ?? 0,
    memberships: Array.from({ length: Math.floor(list.length / MEMBERSHIP_SIZE) }, (_, i) => {
      const one = list.subarray(i * MEMBERSHIP_SIZE, (i + 1) * MEMBERSHIP_SIZE);
      const address = one.subarray(12, 12 + one.readUInt16LE(10));
      return { index: one.readUInt32LE(0), count: one.readUInt32LE(4), type: one.readUInt16LE(8), address };
    }),
    receiveRing: ring(ATTRIBUTE.RX_RING),
    sendRing: ring(ATTRIBUTE.TX_RING),
  };
}
