/** Devices of a network namespace (ip-link(8)) and their addresses (ip-address(8)). */
import { closeSync } from "node:fs";
import { O } from "../../abi/fcntl.ts";
import { attachTun, IFF, TUN_PATH } from "../../abi/tun.ts";
import { parseFlags } from "../../lib/flags.ts";
import { openPath } from "../objects/path-file.ts";
import { join } from "node:path";
import * as v from "valibot";
import { atHome } from "../../abi/namespaces.ts";
import { Refusal } from "../../lib/errors.ts";
import type { FreezeProcess } from "../contract.ts";
import { ip } from "./net-tools.ts";

export const linkSchema = v.strictObject({
  index: v.number(),
  name: v.string(),
  kind: v.picklist(["loopback", "bridge", "dummy", "veth", "tun"]),
  /** Of what a program plays through /dev/net/tun: IFF_… names joined by |. */
  tun: v.optional(v.string()),
  /** The other end of a veth, in this namespace or in that of kmonte. */
  peer: v.optional(v.strictObject({ name: v.string(), outside: v.optional(v.looseObject({})) })),
  address: v.optional(v.string()),
  mtu: v.number(),
  txqlen: v.optional(v.number()),
  up: v.boolean(),
  /** Words of ip(8) that set flags: `promisc on`, `arp off` … */
  flags: v.array(v.string()),
  master: v.optional(v.string()),
  /** What follows `type bridge`. */
  settings: v.optional(v.array(v.string())),
  /** What follows `ip addr add`. */
  addresses: v.array(v.string()),
});
export type LinkState = v.InferOutput<typeof linkSchema>;

type Holder = Pick<FreezeProcess, "pid" | "command">;

/** What `ip -j -d addr` says of a device. */
interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly txqlen?: number;
  readonly master?: string;
  readonly link_type: string;
  readonly address?: string;
  /** Name or index of the other end. */
  readonly link?: string;
  readonly link_index?: number;
  readonly link_netnsid?: number;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: Record<string, unknown> };
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

export function freezeLinks(process: FreezeProcess): LinkState[] {
  const links = listLinks();
  return links.map((link) => freezeLink(process, link, links));
}

function listLinks(): Link[] {
  return JSON.parse(ip(["-j", "-d", "addr", "show"])) as Link[];
}

function freezeLink(process: Holder, link: Link, links: readonly Link[]): LinkState {
  const kind = link.link_type === "loopback" ? "loopback" : link.linkinfo?.info_kind;
  if (kind !== "loopback" && kind !== "bridge" && kind !== "dummy" && kind !== "veth" && kind !== "tun") {
    throw refuseLink(process, link, `It is of the kind ${kind ?? "that the kernel gives no name"}.`);
  }
  const peer = kind === "veth" ? peerOf(process, link, links) : undefined;
  return {
    index: link.ifindex,
    name: link.ifname,
    kind,
    ...(peer && { peer }),
    ...(kind === "tun" && { tun: tunFlags(link) }),
    ...(kind !== "loopback" && link.address !== undefined && { address: link.address }),
    mtu: link.mtu,
    ...(link.txqlen !== undefined && { txqlen: link.txqlen }),
    up: link.flags.includes("UP"),
    flags: [
      ...(link.flags.includes("PROMISC") ? ["promisc on"] : []),
      ...(link.flags.includes("ALLMULTI") ? ["allmulticast on"] : []),
      ...(link.flags.includes("NOARP") && kind !== "dummy" ? ["arp off"] : []),
    ],
    ...(link.master !== undefined && { master: link.master }),
    ...(kind === "bridge" && { settings: bridgeSettings(link) }),
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
  if (!link) throw new RangeError(`there is no network device ${name}`);
  return freezeLink(file, link, links);
}

/** What is made by other means than ip(8). */
export function setUpLink(link: LinkState): void {
  setUp(link);
  if (link.address !== undefined && link.tun?.includes("IFF_TAP")) {
    ip(["link", "set", "dev", link.name, "address", link.address]);
  }
  raise(link);
}

function makeTun({ name, tun, address, index }: LinkState): string[] {
  const flags = parseFlags(IFF, tun ?? "0");
  const fd = openPath(TUN_PATH, O.O_RDWR);
  try {
    attachTun(fd, name, flags, index);
  } finally {
    closeSync(fd);
  }
  if (address !== undefined && (flags & IFF.IFF_TAP) !== 0) ip(["link", "set", "dev", name, "address", address]);
  return [name];
}

function bridgeSettings(link: Link): string[] {
  const data = link.linkinfo?.info_data ?? {};
  return BRIDGE_SETTINGS.flatMap((name) => (data[name] === undefined ? [] : [`${name} ${String(data[name])}`]));
}

function peerOf(process: Holder, link: Link, links: readonly Link[]): NonNullable<LinkState["peer"]> {
  if (link.link_netnsid === undefined) {
    const found = links.find((other) => other.ifname === link.link || other.ifindex === link.link_index);
    if (found) return { name: found.ifname };
  }
  const outside = atHome(listLinks).find(
    (other) => other.ifindex === link.link_index && other.linkinfo?.info_kind === "veth",
  );
  if (!outside || outside.link_index !== link.ifindex) {
    throw refuseLink(process, link, "Its other end is in a network namespace that is neither the set's nor kmonte's.");
  }
  return {
    name: outside.ifname,
    outside: { ...freezeLink(process, { ...outside, link: "", linkinfo: { info_kind: "dummy" } }, []), kind: "veth" },
  };
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

/** Makes the devices in the namespace that this thread is in; `configure` runs before any of them is up. */
export function thawLinks(links: readonly LinkState[], configure: () => void): void {
  const made = new Set<string>(["lo"]);
  for (const link of links) {
    if (made.has(link.name)) continue;
    for (const name of make(link, links)) made.add(name);
  }
  for (const link of links) setUp(link);
  configure();
  for (const link of links) raise(link);
}

/** Makes one device, with its other end if it has one; returns the names. */
function make(link: LinkState, links: readonly LinkState[]): string[] {
  if (link.kind === "tun") return makeTun(link);
  const add = ["link", "add", link.name, "index", String(link.index)];
  if (link.address !== undefined) add.push("address", link.address);
  add.push("type", link.kind);
  if (!link.peer) {
    ip(add);
    if (link.settings) setBridge(link.name, link.settings);
    return [link.name];
  }
  const { outside, name } = link.peer;
  if (!outside) {
    const other = links.find((candidate) => candidate.name === name);
    ip([
      ...add,
      "peer",
      "name",
      name,
      "index",
      String(other?.index),
      ...(other?.address === undefined ? [] : ["address", other.address]),
    ]);
    return [link.name, name];
  }
  const far = outside as unknown as LinkState;
  ip([...add, "peer", "name", name, "address", String(far.address), "netns", String(globalThis.process.pid)]);
  atHome(() => {
    setUp(far);
    raise(far);
  });
  return [link.name];
}

/** What a new bridge has by itself need not be asked for: a kernel may not know how to change it. */
function setBridge(name: string, settings: readonly string[]): void {
  const fresh = listLinks().find((link) => link.ifname === name);
  const now = fresh ? bridgeSettings(fresh) : [];
  const wanted = settings.filter((setting) => !now.includes(setting));
  if (wanted.length > 0) ip(["link", "set", "dev", name, "type", "bridge", ...words(wanted)]);
}

function setUp(link: LinkState): void {
  const set = ["link", "set", "dev", link.name, "mtu", String(link.mtu)];
  if (link.txqlen !== undefined) set.push("txqlen", String(link.txqlen));
  if (link.master !== undefined) set.push("master", link.master);
  ip([...set, ...words(link.flags)]);
}

function raise(link: LinkState): void {
  for (const address of link.addresses) {
    // Those of the loopback device come by themselves when it goes up.
    if (link.kind !== "loopback" || !/^(127\.0\.0\.1\/8|::1\/128)/.test(address)) {
      ip(["addr", "replace", ...words([address]), "dev", link.name]);
    }
  }
  if (link.up) ip(["link", "set", "dev", link.name, "up"]);
}

function words(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(" "));
}

function refuseLink({ pid, command }: Holder, link: Link, why: string): Refusal {
  return new Refusal(
    "NET_DEVICE",
    {
      what: `The network namespace of process ${pid} (${command}) has a device that cannot be carried: ${link.ifname}.`,
      why,
      remedy: "Take the device away, or leave this process out.",
    },
    { pid, command, resource: "net-namespace", path: join("/sys/class/net", link.ifname) },
  );
}
