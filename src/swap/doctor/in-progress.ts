/** Whether another swap is on its way, or one that failed still waits for a boot. */
import { failures } from "../../errors/catalogue.ts";
import { existsSync } from "node:fs";
import { lockRoot } from "../leftovers.ts";
import { presentBoot } from "../../sys/boot.ts";
import { readPendingApart } from "../store.ts";
import { asWarning } from "../../errors/retell.ts";
import { type Finding, refusalsOf } from "./finding.ts";
import type { Machine } from "./machine.ts";

export function lookAtOthers(machine: Machine): Finding[] {
  const root = machine.swapRoot;
  if (!existsSync(root)) return [];
  const busy = refusalsOf(() => lockRoot(root)[Symbol.dispose]());
  if (busy.length > 0) return busy;
  const { records, broken } = readPendingApart(root);
  const boot = presentBoot();
  return [
    ...records.filter((record) => record.boot !== boot).map(({ id, state }) => failures.SWAP_PENDING({ id, state })),
    ...broken.map(({ error }) => asWarning(error)),
  ];
}
