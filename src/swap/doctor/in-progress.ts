/** Whether another swap is on its way, or one that failed still waits for a boot. */
import { existsSync } from "node:fs";
import { lockRoot } from "../leftovers.ts";
import { presentBoot } from "../../sys/boot.ts";
import { readPendingApart } from "../store.ts";
import { type Finding, refusalsOf, Warning } from "./finding.ts";
import type { Machine } from "./machine.ts";

export function lookAtOthers(machine: Machine): Finding[] {
  const root = machine.swapRoot;
  if (!existsSync(root)) return [];
  const busy = refusalsOf(() => lockRoot(root)[Symbol.dispose]());
  if (busy.length > 0) return busy;
  const { records, broken } = readPendingApart(root);
  const boot = presentBoot();
  return [
    ...records.filter((record) => record.boot !== boot).map(({ id, state }) => waiting(id, state)),
    ...broken.map(({ error }) => new Warning(error.code, error)),
  ];
}

function waiting(id: string, state: string): Warning {
  return new Warning("SWAP_PENDING", {
    what: `What ${id} froze ${state === "trial" ? "is still on trial here" : "has not been thawed"}.`,
    why: "Its record is marked for the next boot, which would look at it again.",
    remedy: "kmonte report says what became of it.",
  });
}
