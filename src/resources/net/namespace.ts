/**
 * Network namespaces (network_namespaces(7)): devices with their addresses, routes, rules, neighbours, settings and
 * packet filters, in the words of ip(8) and nft(8), which every kernel understands.
 */
import { Memo } from "../memo.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { within } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { bareNamespace, ownerSchema, type NamespaceHandle } from "../namespace/handle.ts";
import { bridgesSchema, freezeBridges, thawBridges } from "./bridges.ts";
import { freezeLinks, linkSchema, type Elsewhere } from "./links.ts";
import { thawLinks, type NetSite } from "./links-restore.ts";
import { ip, linesOf, nft, tc } from "./ip-and-nft.ts";
import { readSysctls, writeSysctls } from "../namespace/sysctls.ts";

const lines = v.array(v.string());
const schema = v.strictObject({
  kind: v.literal("net-namespace"),
  owner: ownerSchema,
  links: v.array(linkSchema),
  /** What follows `ip -4|-6 route add`, without those that the kernel makes by itself. */
  routes: v.strictObject({ inet: lines, inet6: lines }),
  /** What follows `ip -4|-6 rule add`. */
  rules: v.strictObject({ inet: lines, inet6: lines }),
  /** What follows `ip neigh add`: the lasting ones. */
  neighbours: lines,
  /** What follows `ip neigh replace proxy`: for whom a device answers. */
  proxyNeighbours: v.optional(lines),
  /** What follows `ip nexthop replace`: ways that routes share. */
  nexthops: v.optional(lines),
  bridges: v.optional(bridgesSchema),
  /** As `nft list ruleset` writes it; empty without any. */
  ruleset: v.string(),
  sysctls: v.record(v.string(), v.string()),
});
type NetState = v.InferOutput<typeof schema>;

export function freezeNet(namespace: LocalFd, process: Holder, elsewhere: Elsewhere): NetState {
  return within("net", namespace, () => {
    refuseQueueing(process);
    refuseTables(process);
    return readNet(process, elsewhere);
  });
}

function readNet(process: Holder, elsewhere: Elsewhere): NetState {
  const links = freezeLinks(process, elsewhere);
  return {
    kind: "net-namespace",
    links,
    ...(links.some(({ kind }) => kind === "bridge") && { bridges: freezeBridges() }),
    routes: { inet: routes("-4"), inet6: routes("-6") },
    rules: { inet: rules("-4"), inet6: rules("-6") },
    neighbours: linesOf(ip(["neigh", "show", "nud", "permanent"])).map((line) =>
      line.replace("PERMANENT", "nud permanent"),
    ),
    proxyNeighbours: linesOf(ip(["neigh", "show", "proxy"])).map((line) => line.replace(/ +proxy\b/, "")),
    nexthops: linesOf(ip(["nexthop", "show"])).map((line) =>
      line.replaceAll(STATE_OF_ROUTES, "").replace(/ scope \w+/, ""),
    ),
    ruleset: nft(["list", "ruleset"]),
    sysctls: readSysctls("net"),
  };
}

/** The kernel gives a device its queueing by itself, with the handle 0: (tc(8)). */
function refuseQueueing({ pid, command }: Holder): void {
  const set = linesOf(tc(["qdisc", "show"]));
  const own = set.find((line) => !/^qdisc \w+ 0: /.test(line));
  if (own === undefined) return;
  throw failures.NET_QDISC({ pid, command, own });
}

/** The older tables of iptables(8), which nft(8) does not show: they are there from the first use on. */
function refuseTables({ pid, command }: Holder): void {
  for (const name of ["ip", "ip6", "arp"]) {
    const tables = orIfGone(() => readFileSync(`/proc/thread-self/net/${name}_tables_names`, "utf8"), "").trim();
    if (tables === "") continue;
    throw failures.NET_TABLES({ pid, command, name, tables: tables.split("\n").join(", ") });
  }
}

type Holder = Pick<FreezeProcess, "pid" | "command">;

/** Marks of the moment, and those that the kernel sets by itself, are nothing that one could ask for. */
const STATE_OF_ROUTES =
  / (?:linkdown|dead|offload|trap|rt_offload|rt_trap|pref medium|error -?\d+|expires -?\d+sec)(?= |$)/g;

/** Of several ways to one place, each stands on a line of its own unless they are asked for as one (-o). */
function routes(family: "-4" | "-6"): string[] {
  return (
    linesOf(ip([family, "-o", "route", "show", "table", "all"]))
      .filter((line) => !/ proto (kernel|ra)( |$)/.test(line) && !line.startsWith("multicast ff00::/8"))
      .map((line) => line.replaceAll("\\", " ").replaceAll(STATE_OF_ROUTES, ""))
      // The kernel shows where a shared way leads, too.
      .map((line) => line.replace(/( nhid \d+)(?: via \S+)?(?: dev \S+)?(?:\s+nexthop .*)?/, "$1"))
  );
}

/**
 * A rule for a device that is not there by now is marked as detached, which is not a word to add it with.
 * `0:\tfrom all lookup local` becomes `pref 0 from all lookup local`. */
function rules(family: "-4" | "-6"): string[] {
  return linesOf(ip([family, "rule", "show"])).map((line) =>
    line.replace(/^(\d+):\s*/, "pref $1 ").replaceAll(" [detached]", ""),
  );
}

export const netNamespace: ObjectKind<NetState, NamespaceHandle, "net-namespace"> = {
  name: "net-namespace",
  hasPath: false,
  schema,
  needs: ({ links, ruleset }) => [
    { option: "CONFIG_NET_NS", what: "network_namespaces(7)" },
    ...links.flatMap(({ kind, name }) =>
      kind === "loopback"
        ? []
        : [{ option: `CONFIG_${kind.toUpperCase()}`, module: kind, what: `the network device ${name}` }],
    ),
    ...(ruleset === "" ? [] : [{ option: "CONFIG_NF_TABLES", module: "nf_tables", what: "packet filters, nft(8)" }]),
  ],
  thaw(state, context) {
    const site = siteOf(state, context);
    const elsewhere = (id: string): NetSite => siteOf(context.stateOf(id) as NetState, context);
    within("net", site.fd, () => {
      thawLinks(site, elsewhere, () => writeSysctls(state.sysctls));
      for (const [family, list] of [
        ["-4", state.rules.inet],
        ["-6", state.rules.inet6],
      ] as const) {
        const now = rules(family);
        for (const rule of now) if (!list.includes(rule)) ip([family, "rule", "del", ...rule.split(/\s+/)]);
        for (const rule of list) if (!now.includes(rule)) ip([family, "rule", "add", ...rule.split(/\s+/)]);
      }
      if (state.bridges) thawBridges(state.bridges);
      for (const neighbour of state.neighbours) ip(["neigh", "replace", ...neighbour.split(/\s+/)]);
      for (const proxy of state.proxyNeighbours ?? []) ip(["neigh", "replace", "proxy", ...proxy.split(/\s+/)]);
      for (const way of groupsLast(state.nexthops ?? [])) ip(["nexthop", "replace", ...way.split(/\s+/)]);
      for (const [family, list] of [
        ["-4", state.routes.inet],
        ["-6", state.routes.inet6],
      ] as const) {
        for (const route of gatewaysLast(list)) ip([family, "route", "replace", ...route.split(/\s+/)]);
      }
      if (state.ruleset.trim() !== "") nft(["-f", "-"], state.ruleset);
    });
    return { fd: site.fd };
  },
};

/** Namespaces of the set that have been begun: a veth between two of them is made when only one is filled. */
const sites = new Memo(() => new Map<NetState, NetSite>());

function siteOf(state: NetState, context: ThawContext): NetSite {
  const known = context.memo(sites);
  const site = known.get(state) ?? {
    fd: bareNamespace(context, "net", state.owner),
    links: state.links,
    made: new Set(["lo"]),
  };
  known.set(state, site);
  return site;
}

/** A gateway must be within reach when its route is added. */
function gatewaysLast(list: readonly string[]): string[] {
  return list.toSorted((a, b) => Number(a.includes(" via ")) - Number(b.includes(" via ")));
}

/** A group of ways is made of others. */
function groupsLast(list: readonly string[]): string[] {
  return list.toSorted((a, b) => Number(a.includes(" group ")) - Number(b.includes(" group ")));
}
