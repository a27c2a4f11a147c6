/** rtnetlink(7): devices of a network namespace in the attributes of the kernel, where ip(8) has no words for all of it. */
import { attributesOf } from "./netlink-diag.ts";

export const NETLINK_ROUTE = 0;
export const RTM = { NEWLINK: 16, GETLINK: 18, GETNSID: 90 } as const;
export const NLM_F = { REQUEST: 0x1, ACK: 0x4, EXCL: 0x200, CREATE: 0x400 } as const;
export const NLA_F_NESTED = 0x8000;
/** include/uapi/linux/if_link.h and net_namespace.h. */
export const IFLA = { ADDRESS: 1, IFNAME: 3, LINK: 5, LINKINFO: 18, NET_NS_FD: 28 } as const;
export const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
export const NETNSA = { NSID: 1, FD: 3 } as const;
/** struct ifinfomsg. */
export const IFINFO = 16;
export const RTGEN = 4;

export function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}

/** How attributes are told otherwise than they are wanted. */
export interface Told {
  /** They are only told. */
  readonly only?: readonly number[];
  /** Being there at all means something: not there is told as 0. */
  readonly zero?: readonly number[];
  /** Flags that are told as numbers. */
  readonly flags?: readonly number[];
}

/** The attributes as the kernel takes them. */
export function asWanted(data: Buffer, { only = [], zero = [], flags = [] }: Told): Buffer {
  const wanted = [...attributesOf(data, 0)].filter(
    ([type, value]) => !only.includes(type) && !((zero.includes(type) || flags.includes(type)) && value[0] === 0),
  );
  return Buffer.concat(wanted.map(([type, value]) => attribute(type, flags.includes(type) ? Buffer.alloc(0) : value)));
}
