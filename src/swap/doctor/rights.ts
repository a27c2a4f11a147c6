/** Whether root may change this machine's kernel at all. */
import { CAPABILITIES } from "../../abi/capability.ts";
import { Refusal } from "../../lib/errors.ts";
import { parseStatus } from "../../proc/status.ts";
import type { Machine } from "./machine.ts";

export function lookAtRights(machine: Machine): Refusal[] {
  if (machine.isContainer) {
    return [
      new Refusal("IN_CONTAINER", {
        what: "The kernel cannot be changed from here.",
        why: "This is a container: its kernel is the host's.",
        remedy: "Run it on the host; kmonte suspend --restart restarts the container alone.",
      }),
    ];
  }
  if (mayBoot(machine.text("/proc/self/status"))) return [];
  return [
    new Refusal("NO_CAP_SYS_BOOT", {
      what: "kmonte may not start another kernel.",
      why: "It runs as root without CAP_SYS_BOOT (capabilities(7)): a unit, a container or a sandbox has taken it away.",
      remedy: "Run it from a login of root's, or give the unit CapabilityBoundingSet= with CAP_SYS_BOOT.",
    }),
  ];
}

/** Going by /proc/self/status; where that says nothing, nothing is missing. */
function mayBoot(status: string): boolean {
  const effective = parseStatus(status).get("CapEff");
  if (effective === undefined) return true;
  return ((BigInt(`0x${effective}`) >> BigInt(CAPABILITIES.indexOf("CAP_SYS_BOOT"))) & 1n) === 1n;
}
