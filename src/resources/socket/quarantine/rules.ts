/** The rules that keep an address silent, as text for nft(8): a table of the family inet for each silence. */
import * as v from "valibot";
import { described } from "../../../lib/described.ts";

const end = v.strictObject({
  address: described(v.string(), "The IP address."),
  port: described(v.number(), "The port; 0 for any."),
  scope: v.optional(described(v.number(), "The scope of an IPv6 address: the index of the network device, ipv6(7).")),
  flow: v.optional(described(v.number(), "The flow of IPv6, sin6_flowinfo of ipv6(7).")),
});
export const flowSchema = v.strictObject({
  local: described(end, "The end on this machine."),
  remote: described(end, "The other end."),
});
export type Flow = v.InferOutput<typeof flowSchema>;

/** A port that nobody may hear to be closed, though the socket that has it is away. */
export interface QuarantinedPort {
  readonly protocol: "tcp" | "udp" | "udplite";
  readonly address: string;
  readonly port: number;
  /** IPV6_V6ONLY: of both families, the socket wants this one only. */
  readonly onlyV6: boolean;
}

export interface QuarantineScope {
  readonly flows: readonly Flow[];
  readonly ports: readonly QuarantinedPort[];
}

/** Packets that we inject ourselves pass. */
export const PASS_MARK = 0x6b6d_7465;
export const LONGEST_FREEZE_S = 600;

/**
 * - `freeze`: elements expire, should nobody take them away, and nobody comes in though the sockets are still there.
 * - `gap`: until the thaw. Who has taken a port since answers for it: `socket` of nft(8) finds whom a packet is for.
 * - `plain`: the same for kernels without that expression (CONFIG_NFT_SOCKET).
 */
export type Phase = "freeze" | "gap" | "plain";

/** `::ffff:1.2.3.4` travels as IPv4. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}

export function isPlainV4(address: string): boolean {
  return !plain(address).includes(":");
}

type Sets = ReadonlyMap<string, { readonly type: string; readonly elements: readonly string[] }>;

function flowSets(flows: readonly Flow[]): Sets {
  const text = ({ local, remote }: Flow): string =>
    `${plain(remote.address)} . ${remote.port} . ${plain(local.address)} . ${local.port}`;
  const of = (four: boolean): string[] =>
    flows.filter(({ local }) => isPlainV4(local.address) === four).map((flow) => text(flow));
  return new Map([
    ["quiet4", { type: "ipv4_addr . inet_service . ipv4_addr . inet_service", elements: of(true) }],
    ["quiet6", { type: "ipv6_addr . inet_service . ipv6_addr . inet_service", elements: of(false) }],
  ]);
}

const WILDCARD = /^(0\.0\.0\.0|::)$/;
const SYN_ALONE = "tcp flags & (fin | syn | rst | ack) == syn ";

/** What matches packets that want to come to a port: sets, and the beginnings of the rules that look into them. */
function portSets(ports: readonly QuarantinedPort[]): { sets: Sets; matches: readonly string[] } {
  const sets = new Map<string, { type: string; elements: string[] }>();
  const matches: string[] = [];
  for (const { protocol, address, port, onlyV6 } of ports) {
    const any = WILDCARD.test(address);
    const families = any && address === "::" && !onlyV6 ? [4, 6] : [isPlainV4(address) ? 4 : 6];
    for (const family of families) {
      const name = `${protocol}${any ? "any" : ""}${family}`;
      const [type, ip] = family === 4 ? ["ipv4_addr", "ip"] : ["ipv6_addr", "ip6"];
      if (!sets.has(name)) {
        const what = any ? `meta nfproto ipv${family}` : `${ip} daddr .`;
        sets.set(name, { type: any ? "inet_service" : `${type} . inet_service`, elements: [] });
        matches.push(`${protocol === "tcp" ? SYN_ALONE : ""}${what} ${protocol} dport @${name}`);
      }
      const elements = sets.get(name)?.elements as string[];
      const element = any ? String(port) : `${plain(address)} . ${port}`;
      if (!elements.includes(element)) elements.push(element);
    }
  }
  return { sets, matches };
}

export function rules(table: string, { flows, ports }: QuarantineScope, phase: Phase): string {
  const { sets, matches } = portSets(ports);
  const expire = phase === "freeze";
  const timeout = expire ? ` timeout ${LONGEST_FREEZE_S}s` : "";
  const declared = [...flowSets(flows), ...sets].map(([name, { type, elements }]) => {
    const list = elements.map((element) => element + timeout).join(", ");
    return `set ${name} { type ${type}; ${expire ? "flags timeout;" : ""} ${list === "" ? "" : `elements = { ${list} };`} }`;
  });
  const drop = (from: string, to: string): string => {
    const [here, there] = [from === "saddr" ? "sport" : "dport", to === "saddr" ? "sport" : "dport"];
    return `meta mark ${PASS_MARK} accept
    ip ${from} . tcp ${here} . ip ${to} . tcp ${there} @quiet4 drop
    ip6 ${from} . tcp ${here} . ip6 ${to} . tcp ${there} @quiet6 drop`;
  };
  const taken = phase === "gap" ? "socket transparent 0 accept\n    socket transparent 1 accept\n    " : "";
  // Where packets are for this machine, and not for one behind it.
  const closedPorts = `chain closed {
    ${taken}drop
  }
  chain ports { type filter hook input priority -400; meta mark ${PASS_MARK} accept
    ${matches.map((match) => `${match} goto closed`).join("\n    ")}
  }`;
  return `table inet ${table} {
  ${declared.join("\n  ")}
  chain incoming { type filter hook prerouting priority -400; ${drop("saddr", "daddr")}
  }
  chain outgoing { type filter hook output priority -400; ${drop("daddr", "saddr")}
  }
  ${matches.length > 0 ? closedPorts : ""}
}
`;
}
