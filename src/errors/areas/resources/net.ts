/** Network namespaces and devices. */
import { failed, refused, type NamedProcess, type Texts } from "../../entry.ts";

export const net = {
  NETWORK_TOOL: failed(({ tool, args, said }: Texts<"tool" | "args" | "said">) => ({
    what: `A network namespace cannot be read or set up.`,
    why: `\`${tool} ${args}\` said: ${said}`,
    remedy: `Install ${tool !== "nft" ? "iproute2" : "nftables"} if it is missing.`,
  })),
  NET_DEVICE: refused(({ pid, command, name, why, path }: NamedProcess & Texts<"name" | "why" | "path">) => ({
    what: `The network namespace of process ${pid} (${command}) has a device that cannot be carried: ${name}.`,
    why,
    remedy: "Take the device away, or leave this process out.",
    facts: { pid, command, resource: "net-namespace", path },
  })),
  NET_QDISC: refused(({ pid, command, own }: NamedProcess & Texts<"own">) => ({
    what: `The network namespace of process ${pid} (${command}) has a queueing discipline of its own.`,
    why: `tc(8) shows: ${own}`,
    remedy: "Take it away with tc qdisc del, or leave this process out.",
    facts: { pid, command, resource: "net-namespace" },
  })),
  NET_TABLES: refused(({ pid, command, name, tables }: NamedProcess & Texts<"name" | "tables">) => ({
    what: `The network namespace of process ${pid} (${command}) has packet filters of the old kind.`,
    why: `It has used ${name}tables-legacy: ${tables}.`,
    remedy: "Set the rules up with nft(8) or iptables-nft(8) in a fresh namespace.",
    facts: { pid, command, resource: "net-namespace" },
  })),
};
