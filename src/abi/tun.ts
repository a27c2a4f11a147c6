/** Network devices that programs play: /dev/net/tun (include/uapi/linux/if_tun.h, Documentation/networking/tuntap.rst). */
import type { FlagTable } from "../lib/flags.ts";

/** `major:minor` of /dev/net/tun. */
export const TUN = "10:200";
export const TUN_PATH = "/dev/net/tun";

export const IFF = {
  IFF_TUN: 0x1,
  IFF_TAP: 0x2,
  IFF_NAPI: 0x10,
  IFF_NAPI_FRAGS: 0x20,
  IFF_MULTI_QUEUE: 0x100,
  IFF_DETACH_QUEUE: 0x400,
  IFF_PERSIST: 0x800,
  IFF_NO_PI: 0x1000,
  IFF_VNET_HDR: 0x4000,
} as const satisfies FlagTable;

export const TUNSETIFF = 0x400454ca;
export const TUNSETPERSIST = 0x400454cb;
export const TUNSETOWNER = 0x400454cc;
export const TUNSETGROUP = 0x400454ce;
export const TUNGETIFF = 0x800454d2;
export const TUNGETSNDBUF = 0x800454d3;
export const TUNSETSNDBUF = 0x400454d4;
export const TUNGETVNETHDRSZ = 0x800454d7;
export const TUNSETVNETHDRSZ = 0x400454d8;
export const TUNSETQUEUE = 0x400454d9;
export const TUNSETIFINDEX = 0x400454da;
export const FLAGS_AT = 16;
/** What only tells of the state of things. */
export const NOT_ASKED = IFF.IFF_PERSIST | IFF.IFF_DETACH_QUEUE;
