/** Whether root may change this machine's kernel at all. */
import { CAPABILITIES } from "../../abi/capability.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { parseStatus } from "../../proc/status.ts";
import type { Machine } from "./machine.ts";

export function lookAtRights(machine: Machine): Refusal[] {
  if (machine.isContainer) {
    return [failures.IN_CONTAINER()];
  }
  if (mayBoot(machine.text("/proc/self/status"))) return [];
  return [failures.NO_CAP_SYS_BOOT()];
}

/** Going by /proc/self/status; where that says nothing, nothing is missing. */
function mayBoot(status: string): boolean {
  const effective = parseStatus(status).get("CapEff");
  if (effective === undefined) return true;
  return ((BigInt(`0x${effective}`) >> BigInt(CAPABILITIES.indexOf("CAP_SYS_BOOT"))) & 1n) === 1n;
}
