/** Devices of a network namespace (ip-link(8)) and their addresses (ip-address(8)). */
import { closeSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { atHome, openNamespace } from "../../sys/namespaces.ts";
import { type Told, asWanted } from "../../abi/rtnetlink.ts";
import { linkData, namespaceId, tunOwners } from "../../sys/rtnetlink.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { Defect } from "../../errors/wrong-input.ts";
import { ip } from "./ip-and-nft.ts";

/** Those that stand on other devices or on none and are made from what the kernel says of them. */
const DESCRIBED = ["macvlan", "ipvlan", "vlan", "vxlan", "ifb"] as const;
const KINDS = ["loopback", "bridge", "dummy", "veth", "tun", ...DESCRIBED] as const;

/** By kind (include/uapi/linux/if_link.h). */
const TOLD: Readonly<Record<string, Told>> = {
  // IFLA_MACVLAN_MACADDR_COUNT, IFLA_MACVLAN_BC_QUEUE_LEN_USED.
  macvlan: { only: [6, 8] },
  // IFLA_VXLAN_REMCSUM_RX, IFLA_VXLAN_TTL_INHERIT.
  vxlan: { zero: [22], flags: [28] },
};

export const linkSchema = v.strictObject({
  index: v.number(),
  name: v.string(),
  kind: v.picklist(KINDS),
  /** What the kind says of itself, as rtnetlink(7) has it (IFLA_INFO_DATA), base64. */
  data: v.optional(v.string()),
  /** The device that it stands on, in this namespace or in that of kmonte. */
  lower: v.optional(v.strictObject({ name: v.string(), outside: v.optional(v.literal(true)) })),
  alias: v.optional(v.string()),
  /** Further names of it (altname of ip-link(8)). */
  altnames: v.optional(v.array(v.string())),
  /** The group of devices that it belongs to, unless it is the first one. */
  group: v.optional(v.string()),
  /** Of what a program plays through /dev/net/tun: IFF_… names joined by |. */
  tun: v.optional(v.string()),
  /** Who besides the superuser may play it: ids as kmonte sees them. */
  owners: v.optional(v.strictObject({ user: v.optional(v.number()), group: v.optional(v.number()) })),
  /** The other end of a veth, in this namespace, in another one of the set or in that of kmonte. */
  peer: v.optional(
    v.strictObject({
      name: v.string(),
      namespace: v.optional(v.string()),
      outside: v.optional(v.looseObject({})),
    }),
  ),
  address: v.optional(v.string()),
  mtu: v.number(),
  txqlen: v.optional(v.number()),
  up: v.boolean(),
  /** Words of ip(8) that set flags: `promisc on`, `arp off` … */
  flags: v.array(v.string()),
  master: v.optional(v.string()),
  /** What follows `type bridge`. */
  settings: v.optional(v.array(v.string())),
  /** What follows `type bridge_slave`, of a port of a bridge. */
  port: v.optional(v.array(v.string())),
  /** What follows `ip addr add`. */
  addresses: v.array(v.string()),
});
export type LinkState = v.InferOutput<typeof linkSchema>;

type Holder = Pick<FreezeProcess, "pid" | "command">;

/** Finds the namespace of the set, by its netnsid here, in which the other end of a device is. */
export type Elsewhere = (netnsid: number) => { readonly name: string; readonly links: readonly Link[] } | undefined;

/** What `ip -j -d addr` says of a device. */
export interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly txqlen?: number;
  readonly master?: string;
  readonly link_type: string;
  readonly ifalias?: string;
  readonly altnames?: readonly string[];
  readonly group?: string;
  readonly address?: string;
  /** Name or index of the other end. */
  readonly link?: string;
  readonly link_index?: number;
  readonly link_netnsid?: number;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_data?: Record<string, unknown>;
    readonly info_slave_kind?: string;
    readonly info_slave_data?: Record<string, unknown>;
  };
  readonly addr_info: readonly Address[];
}

interface Address {
  readonly family: string;
  readonly local: string;
  readonly prefixlen: number;
  readonly address?: string;
  readonly broadcast?: string;
  readonly scope: string;
  readonly label?: string;
  readonly valid_life_time: number;
  readonly preferred_life_time: number;
}

const FOREVER = 0xffff_ffff;
/** Of what a bridge tells, what one can ask for in the same words. */
const BRIDGE_SETTINGS = [
  ...["forward_delay", "hello_time", "max_age", "ageing_time", "stp_state", "priority", "vlan_filtering"],
  ...["group_fwd_mask", "mcast_snooping", "mcast_router", "mcast_querier", "nf_call_iptables", "nf_call_ip6tables"],
];

export function freezeLinks(process: Holder, elsewhere: Elsewhere): LinkState[] {
  const links = listLinks();
  return links.map((link) => freezeLink(process, link, links, elsewhere));
}

export function listLinks(): Link[] {
  return JSON.parse(ip(["-j", "-d", "addr", "show"])) as Link[];
}

function freezeLink(
  process: Holder,
  link: Link,
  links: readonly Link[],
  elsewhere: Elsewhere = () => undefined,
): LinkState {
  const named = link.link_type === "loopback" ? "loopback" : link.linkinfo?.info_kind;
  const kind = KINDS.find((known) => known === named);
  if (kind === undefined) {
    throw refuseLink(process, link, `It is of the kind ${named ?? "that the kernel gives no name"}.`);
  }
  const peer = kind === "veth" ? peerOf(process, link, links, elsewhere) : undefined;
  const described = DESCRIBED.some((one) => one === kind);
  const below = described ? belowOf(process, link, links) : undefined;
  return {
    index: link.ifindex,
    name: link.ifname,
    kind,
    ...(peer && { peer }),
    ...(described && {
      data: asWanted(linkData(link.ifindex), TOLD[kind] ?? {}).toString("base64"),
    }),
    ...(below && { lower: below }),
    ...(link.ifalias !== undefined && { alias: link.ifalias }),
    ...(link.altnames !== undefined && { altnames: [...link.altnames] }),
    ...(link.group !== undefined && link.group !== "default" && { group: link.group }),
    ...(kind === "tun" && { tun: tunFlags(link), owners: tunOwners(link.ifindex) }),
    ...(kind !== "loopback" && link.address !== undefined && { address: link.address }),
    mtu: link.mtu,
    ...(link.txqlen !== undefined && { txqlen: link.txqlen }),
    up: link.flags.includes("UP"),
    flags: [
      ...(link.flags.includes("PROMISC") ? ["promisc on"] : []),
      ...(link.flags.includes("ALLMULTI") ? ["allmulticast on"] : []),
      ...(link.flags.includes("MULTICAST") || (kind !== "veth" && kind !== "bridge") ? [] : ["multicast off"]),
      ...(link.flags.includes("NOARP") && kind !== "dummy" && kind !== "ifb" ? ["arp off"] : []),
    ],
    ...(link.master !== undefined && { master: link.master }),
    ...(kind === "bridge" && { settings: bridgeSettings(link) }),
    ...(link.linkinfo?.info_slave_kind === "bridge" && { port: portSettings(link) }),
    addresses: link.addr_info.map(wordsOf),
  };
}

function tunFlags({ linkinfo }: Link): string {
  const data = linkinfo?.info_data ?? {};
  const flags = [
    data["type"] === "tap" ? "IFF_TAP" : "IFF_TUN",
    ...(data["pi"] === true ? [] : ["IFF_NO_PI"]),
    ...(data["vnet_hdr"] === true ? ["IFF_VNET_HDR"] : []),
    ...(data["multi_queue"] === true ? ["IFF_MULTI_QUEUE"] : []),
    // Until its program has it, it must stay by itself.
    "IFF_PERSIST",
  ];
  return flags.join("|");
}

/** One device by its name, as `file` plays it. */
export function linkNamed(file: Holder, name: string): LinkState {
  const links = listLinks();
  const link = links.find(({ ifname }) => ifname === name);
  if (!link) throw new Defect(`there is no network device ${name}`);
  return freezeLink(file, link, links);
}

export function bridgeSettings(link: Link): string[] {
  const data = link.linkinfo?.info_data ?? {};
  return BRIDGE_SETTINGS.flatMap((name) => (data[name] === undefined ? [] : [`${name} ${String(data[name])}`]));
}

/** Of a port of a bridge, likewise. */
const PORT_SETTINGS = [
  ...["priority", "cost", "hairpin", "guard", "root_block", "fastleave", "learning", "flood", "mcast_flood"],
  ...["bcast_flood", "mcast_to_unicast", "proxy_arp", "proxy_arp_wifi", "neigh_suppress", "isolated", "locked"],
];

export function portSettings({ linkinfo }: Link): string[] {
  const data = linkinfo?.info_slave_data ?? {};
  return PORT_SETTINGS.filter((name) => data[name] !== undefined).map((name) => {
    const value = data[name];
    return `${name} ${typeof value === "boolean" ? (value ? "on" : "off") : String(value)}`;
  });
}

/** The device below, if there is one; that of a container may be the machine's. */
function belowOf(process: Holder, link: Link, links: readonly Link[]): LinkState["lower"] {
  if (link.linkinfo?.info_data?.["mode"] === "source") {
    throw refuseLink(process, link, "It takes packets of certain senders only (mode source).");
  }
  if (link.link_netnsid === undefined) return link.link === undefined ? undefined : { name: link.link };
  const found = atHome(listLinks).find((other) => other.ifindex === link.link_index);
  if (found && !links.includes(found) && isHome(link.link_netnsid)) return { name: found.ifname, outside: true };
  throw refuseLink(process, link, "It stands on a device of a network namespace that is not kmonte's.");
}

function peerOf(
  process: Holder,
  link: Link,
  links: readonly Link[],
  elsewhere: Elsewhere,
): NonNullable<LinkState["peer"]> {
  const home = link.link_netnsid !== undefined && isHome(link.link_netnsid);
  if (link.link_netnsid === undefined) {
    const found = links.find((other) => other.ifname === link.link || other.ifindex === link.link_index);
    if (found) return { name: found.ifname };
  } else if (!home) {
    const there = elsewhere(link.link_netnsid);
    const found = there?.links.find((other) => other.ifindex === link.link_index);
    if (there && found) return { name: found.ifname, namespace: there.name };
  }
  // Every namespace counts from 1: the same numbers may be there for another pair.
  const outside = home
    ? atHome(listLinks).find((other) => other.ifindex === link.link_index && other.linkinfo?.info_kind === "veth")
    : undefined;
  if (!outside || outside.link_index !== link.ifindex) {
    throw refuseLink(process, link, "Its other end is in a network namespace that is neither the set's nor kmonte's.");
  }
  return {
    name: outside.ifname,
    outside: { ...freezeLink(process, { ...outside, link: "", linkinfo: { info_kind: "dummy" } }, []), kind: "veth" },
  };
}

/** Whether a netnsid of the namespace that this thread is in stands for the one that kmonte was started in. */
function isHome(netnsid: number): boolean {
  const home = openNamespace("self", "net");
  try {
    return namespaceId(home) === netnsid;
  } finally {
    closeSync(home);
  }
}

function wordsOf(address: Address): string {
  const { local, prefixlen, broadcast, scope, label, valid_life_time: valid, preferred_life_time: preferred } = address;
  return [
    address.address === undefined ? `${local}/${prefixlen}` : `${local} peer ${address.address}/${prefixlen}`,
    ...(broadcast === undefined ? [] : [`broadcast ${broadcast}`]),
    ...(address.family === "inet" && label !== undefined ? [`label ${label}`] : []),
    ...(scope === "global" || address.family === "inet6" ? [] : [`scope ${scope}`]),
    ...(address.family === "inet6" ? ["nodad"] : []),
    ...(valid === FOREVER ? [] : [`valid_lft ${valid} preferred_lft ${preferred === FOREVER ? "forever" : preferred}`]),
  ].join(" ");
}

function refuseLink({ pid, command }: Holder, link: Link, why: string): Refusal {
  return failures.NET_DEVICE({ pid, command, name: link.ifname, why, path: join("/sys/class/net", link.ifname) });
}
