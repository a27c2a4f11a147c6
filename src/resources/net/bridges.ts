/** What bridges were told to keep (bridge(8)): where addresses are, and who is in which group. What they learn, they learn anew. */
import * as v from "valibot";
import { bridge, linesOf } from "./ip-and-nft.ts";

const lines = v.array(v.string());
export const bridgesSchema = v.strictObject({
  /** What follows `bridge fdb replace`. */
  addresses: lines,
  /** What follows `bridge mdb add`. */
  groups: lines,
});
export type BridgesState = v.InferOutput<typeof bridgesSchema>;

/** Of the network namespace that this thread is in, which has a bridge. */
export function freezeBridges(): BridgesState {
  const kept = (text: string): string[] => linesOf(text).filter((line) => /\b(?:static|permanent)\b/.test(line));
  return {
    addresses: kept(bridge(["fdb", "show"])).flatMap((line) => {
      const [, way, master, rest] = /^(\S+ dev \S+(?: vlan \d+)?) master (\S+)(.*)$/.exec(line) ?? [];
      // A bridge has its own address in its table by itself, and groups that it listens to.
      return way === undefined || way.includes(` dev ${master}`) ? [] : [`${way} master${rest}`];
    }),
    groups: kept(bridge(["mdb", "show"])).map((line) => line.replace(/ offload\b/, "")),
  };
}

export function thawBridges({ addresses, groups }: BridgesState): void {
  for (const address of addresses) bridge(["fdb", "replace", ...address.split(/\s+/)]);
  for (const group of groups) bridge(["mdb", "add", ...group.split(/\s+/)]);
}
