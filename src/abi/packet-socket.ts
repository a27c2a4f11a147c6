/** packet(7) (include/uapi/linux/if_packet.h, packet_diag.h). */

export const SOL_PACKET = 263;
export const PACKET = {
  PACKET_ADD_MEMBERSHIP: 1,
  PACKET_RX_RING: 5,
  PACKET_COPY_THRESH: 7,
  PACKET_AUXDATA: 8,
  PACKET_ORIGDEV: 9,
  PACKET_VERSION: 10,
  PACKET_RESERVE: 12,
  PACKET_TX_RING: 13,
  PACKET_LOSS: 14,
  PACKET_VNET_HDR: 15,
  PACKET_TIMESTAMP: 17,
  PACKET_FANOUT: 18,
  PACKET_TX_HAS_OFF: 19,
  PACKET_QDISC_BYPASS: 20,
  PACKET_IGNORE_OUTGOING: 23,
  PACKET_VNET_HDR_SZ: 24,
} as const;

export const SIOCGIFNAME = 0x8910;
export const SIOCGIFINDEX = 0x8933;
export const IFREQ_SIZE = 40;
export const IFNAMSIZ = 16;

export const ATTRIBUTE = { INFO: 0, MCLIST: 1, RX_RING: 2, TX_RING: 3 } as const;
export const SHOW = 0x1 | 0x2 | 0x4;
export const MESSAGE_SIZE = 16;
export const MEMBERSHIP_SIZE = 44;
export const RING_WORDS = 7;

/** Offsets in struct tpacket_block_desc (TPACKET_V3): the first block is open from the beginning. */
export const TPACKET_BLOCK = { STATUS: 8, PACKETS: 12, SEQUENCE: 24, HEADER_SIZE: 48 } as const;
