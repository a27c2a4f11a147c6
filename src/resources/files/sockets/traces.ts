/** What the machine's network must keep and must have for the sockets of a set: for whoever ends this kernel. */
import * as v from "valibot";
import { flowSchema, rules, type Flow, type Phase, type Quiet, type QuietPort } from "./silence-rules.ts";
import { isEverywhere, networkNeed, type NetworkNeed } from "./surroundings.ts";

export interface NetworkTraces {
  /** What must be there before the sockets can be made again. */
  readonly needs: readonly NetworkNeed[];
  /** Rules for nft(8) that keep silent what others may ask for; empty when there is nothing. */
  readonly silence: string;
  /** The same for a kernel that cannot say whom a packet is for. */
  readonly plainSilence: string;
  /** Connections of TCP whose other end is elsewhere. */
  readonly connections: readonly Flow[];
}

const flowState = v.object({ ...flowSchema.entries, silence: v.string() });
const PROTOCOLS: Readonly<Record<string, QuietPort["protocol"]>> = {
  IPPROTO_TCP: "tcp",
  IPPROTO_UDP: "udp",
  IPPROTO_UDPLITE: "udplite",
};
const portState = v.object({
  protocol: v.pipe(
    v.string(),
    v.check((name) => name in PROTOCOLS),
  ),
  local: flowSchema.entries.local,
  options: v.object({ IPV6_V6ONLY: v.optional(v.number()) }),
  silence: v.string(),
});

/** Going by the states of all open files that are in no network namespace of the set's own. */
export function networkTraces(states: readonly unknown[]): NetworkTraces {
  const needs = states.map(networkNeed).filter((need) => need !== undefined);
  const tables = new Map<string, { flows: Flow[]; ports: QuietPort[] }>();
  const quiet = (table: string): { flows: Flow[]; ports: QuietPort[] } => {
    const known = tables.get(table) ?? { flows: [], ports: [] };
    tables.set(table, known);
    return known;
  };
  for (const state of states) {
    const [port, flow] = [v.safeParse(portState, state), v.safeParse(flowState, state)];
    if (port.success) {
      const { silence, local, options } = port.output;
      const protocol = PROTOCOLS[port.output.protocol] as QuietPort["protocol"];
      quiet(silence).ports.push({ protocol, ...local, onlyV6: options.IPV6_V6ONLY === 1 });
    } else if (flow.success) {
      const { silence, local, remote } = flow.output;
      quiet(silence).flows.push({ local, remote });
    }
  }
  const flows = [...tables.values()].flatMap((each) => each.flows);
  const text = (phase: Phase): string =>
    [...tables].map(([table, each]: [string, Quiet]) => rules(table, each, phase)).join("");
  return {
    needs: [...new Map(needs.map((need) => [JSON.stringify(need), need])).values()],
    silence: text("gap"),
    plainSilence: text("plain"),
    connections: flows.filter(({ remote }) => !isEverywhere(remote.address)),
  };
}
