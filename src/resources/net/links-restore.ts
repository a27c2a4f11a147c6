/** Making the devices of a network namespace again. */
import { livingThread, procPath } from "../../sys/task.ts";
import { closeSync } from "node:fs";
import { O } from "../../abi/fcntl.ts";
import { atHome } from "../../sys/namespaces.ts";
import { makeLink } from "../../sys/rtnetlink.ts";
import { IFF, TUN_PATH } from "../../abi/tun.ts";
import { attachTun, ownTun } from "../../sys/tun.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { parseFlags } from "../../lib/flags.ts";
import { openPath } from "../file/path-file.ts";
import { bridgeSettings, listLinks, portSettings, type LinkState } from "./links.ts";
import { ip } from "./ip-and-nft.ts";

/** A network namespace under construction. */
export interface NetSite {
  readonly fd: LocalFd;
  readonly links: readonly LinkState[];
  /** The names of the devices that are there already: making one end of a veth makes the other. */
  readonly made: Set<string>;
}

/**
 * Makes the devices in the namespace that this thread is in; `configure` runs before any of them is up. `elsewhere`
 * finds the other namespaces of the set.
 */
export function thawLinks(site: NetSite, elsewhere: (id: string) => NetSite, configure: () => void): void {
  for (const link of site.links) make(link, site, elsewhere);
  for (const link of site.links) setUp(link);
  configure();
  for (const link of site.links) raise(link);
  for (const { name, port } of site.links) if (port) setPort(name, port);
}

/** Makes one device, after the one that it stands on, with its other end if it has one. */
function make(link: LinkState, site: NetSite, elsewhere: (id: string) => NetSite): void {
  if (site.made.has(link.name)) return;
  site.made.add(link.name);
  if (link.kind === "tun") return makeTun(link);
  if (link.data !== undefined) {
    const below = link.lower?.outside ? undefined : site.links.find(({ name }) => name === link.lower?.name);
    if (below) make(below, site, elsewhere);
    return makeDescribed(link, site);
  }
  const add = ["link", "add", link.name, "index", String(link.index)];
  if (link.address !== undefined) add.push("address", link.address);
  add.push("type", link.kind);
  if (link.peer) return makePair(add, link.peer, site, elsewhere);
  ip(add);
  if (link.settings) setBridge(link.name, link.settings);
}

function makeDescribed({ index, name, kind, data = "", address, lower: below }: LinkState, site: NetSite): void {
  const link = { index, name, kind, address, data: Buffer.from(data, "base64") };
  const numberOf = (): number | undefined => below && listLinks().find(({ ifname }) => ifname === below.name)?.ifindex;
  if (below?.outside) atHome(() => makeLink({ ...link, below: numberOf(), namespace: site.fd }));
  else makeLink({ ...link, below: numberOf(), namespace: undefined });
}

function makePair(
  add: readonly string[],
  { name, namespace, outside }: NonNullable<LinkState["peer"]>,
  site: NetSite,
  elsewhere: (id: string) => NetSite,
): void {
  if (outside) {
    const far = outside as unknown as LinkState;
    ip([...add, "peer", "name", name, "address", String(far.address), "netns", String(globalThis.process.pid)]);
    atHome(() => {
      setUp(far);
      raise(far);
    });
    return;
  }
  const there = namespace === undefined ? site : elsewhere(namespace);
  const far = there.links.find((candidate) => candidate.name === name);
  ip([
    ...add,
    ...["peer", "name", name, "index", String(far?.index)],
    ...(far?.address === undefined ? [] : ["address", far.address]),
    ...(namespace === undefined ? [] : ["netns", procPath(livingThread(globalThis.process.pid), `fd/${there.fd}`)]),
  ]);
  there.made.add(name);
}

/** What a new bridge has by itself need not be asked for: a kernel may not know how to change it. */
function setBridge(name: string, settings: readonly string[]): void {
  const fresh = listLinks().find((link) => link.ifname === name);
  const now = fresh ? bridgeSettings(fresh) : [];
  const wanted = settings.filter((setting) => !now.includes(setting));
  if (wanted.length > 0) ip(["link", "set", "dev", name, "type", "bridge", ...words(wanted)]);
}

/** The cost of a port follows from its carrier until somebody sets it, so only what differs is asked for. */
function setPort(name: string, settings: readonly string[]): void {
  const port = listLinks().find((link) => link.ifname === name);
  const now = port ? portSettings(port) : [];
  const wanted = settings.filter((setting) => !now.includes(setting));
  if (wanted.length > 0) ip(["link", "set", "dev", name, "type", "bridge_slave", ...words(wanted)]);
}

function setUp(link: LinkState): void {
  const set = ["link", "set", "dev", link.name, "mtu", String(link.mtu)];
  if (link.txqlen !== undefined) set.push("txqlen", String(link.txqlen));
  if (link.alias !== undefined) set.push("alias", link.alias);
  if (link.master !== undefined) set.push("master", link.master);
  if (link.group !== undefined) set.push("group", link.group);
  ip([...set, ...words(link.flags)]);
  for (const name of link.altnames ?? []) ip(["link", "property", "add", "dev", link.name, "altname", name]);
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

/** What is made by other means than ip(8). */
export function setUpLink(link: LinkState): void {
  setUp(link);
  if (link.address !== undefined && link.tun?.includes("IFF_TAP")) {
    ip(["link", "set", "dev", link.name, "address", link.address]);
  }
  raise(link);
}

function makeTun({ name, tun, owners, address, index }: LinkState): void {
  const flags = parseFlags(IFF, tun ?? "0");
  const fd = openPath(TUN_PATH, O.O_RDWR);
  try {
    attachTun(fd, name, flags, index);
    ownTun(fd, owners?.user, owners?.group);
  } finally {
    closeSync(fd);
  }
  if (address !== undefined && (flags & IFF.IFF_TAP) !== 0) ip(["link", "set", "dev", name, "address", address]);
}
