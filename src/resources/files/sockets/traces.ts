/** What the machine's network must keep and must have for the sockets of a set: for whoever ends this kernel. */
import * as v from "valibot";
import { flowSchema, lastingRules, type Flow } from "./silence.ts";
import { networkNeed, type NetworkNeed } from "./surroundings.ts";

export interface NetworkTraces {
  /** What must be there before the sockets can be made again. */
  readonly needs: readonly NetworkNeed[];
  /** Rules for nft(8) that keep silent whatever has a peer outside the set; empty when nothing has. */
  readonly silence: string;
}

const silentSchema = v.object({ ...flowSchema.entries, silence: v.string() });

/** Going by the states of all open files that are in no network namespace of the set's own. */
export function networkTraces(states: readonly unknown[]): NetworkTraces {
  const needs = states.map(networkNeed).filter((need) => need !== undefined);
  const tables = new Map<string, Flow[]>();
  for (const state of states) {
    const parsed = v.safeParse(silentSchema, state);
    if (!parsed.success) continue;
    const { silence, local, remote } = parsed.output;
    tables.set(silence, [...(tables.get(silence) ?? []), { local, remote }]);
  }
  return {
    needs: [...new Map(needs.map((need) => [JSON.stringify(need), need])).values()],
    silence: [...tables].map(([table, flows]) => lastingRules(table, flows)).join(""),
  };
}
