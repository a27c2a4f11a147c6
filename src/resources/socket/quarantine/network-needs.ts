/** What the machine's network must keep and must have for the sockets of a set: for whoever ends this kernel. */
import { rules, type Flow, type Phase, type QuarantineScope, type QuarantinedPort } from "./rules.ts";
import type { NetworkUse } from "../../contract.ts";
import { isEverywhere, type NetworkNeed } from "./requirements.ts";

export interface NetworkNeeds {
  /** What must be there before the sockets can be made again. */
  readonly needs: readonly NetworkNeed[];
  /** Rules for nft(8) that keep silent what others may ask for; empty when there is nothing. */
  readonly quarantine: string;
  /** The same for a kernel that cannot say whom a packet is for. */
  readonly plainQuarantine: string;
  /** Connections of TCP whose other end is elsewhere. */
  readonly connections: readonly Flow[];
}

/** Going by what all open files that are in no network namespace of the set's own ask of the network. */
export function networkNeeds(uses: readonly NetworkUse[]): NetworkNeeds {
  const needs = uses.flatMap(({ need }) => need ?? []);
  const tables = new Map<string, { flows: Flow[]; ports: QuarantinedPort[] }>();
  for (const { quarantine } of uses) {
    if (!quarantine) continue;
    const table = tables.get(quarantine.table) ?? { flows: [], ports: [] };
    tables.set(quarantine.table, table);
    if (quarantine.flow) table.flows.push(quarantine.flow);
    if (quarantine.port) table.ports.push(quarantine.port);
  }
  const flows = [...tables.values()].flatMap((each) => each.flows);
  const text = (phase: Phase): string =>
    [...tables].map(([table, each]: [string, QuarantineScope]) => rules(table, each, phase)).join("");
  return {
    needs: [...new Map(needs.map((need) => [JSON.stringify(need), need])).values()],
    quarantine: text("gap"),
    plainQuarantine: text("plain"),
    connections: flows.filter(({ remote }) => !isEverywhere(remote.address)),
  };
}
