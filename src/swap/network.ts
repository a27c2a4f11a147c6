/** What of the network a swap leaves behind and must find again: silence for its connections, addresses, routes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { NetworkNeeds } from "../resources/socket/quarantine/network-needs.ts";
import { removeTable } from "../resources/socket/quarantine/quarantine.ts";
import { missingOf, type NetworkNeed } from "../resources/socket/quarantine/requirements.ts";

/** Beside a swap's record: rules that the unit loads before the network comes up. */
export const QUARANTINE_FILE = "quarantine.nft";
/** The same for kernels that do not take the first: its name must not end as the other does. */
export const PLAIN_QUARANTINE_FILE = "quarantine-plain.nft";

/** How long the network may take to come up before the thaw says what is missing. */
const LONGEST_WAIT_MS = 300_000;
const PAUSE_MS = 100;

/** Leaves the silence for the next kernel beside the swap's record. */
export function leaveQuarantine(
  { quarantine, plainQuarantine }: Pick<NetworkNeeds, "quarantine" | "plainQuarantine">,
  swapDirectory: string,
): void {
  if (quarantine === "") return;
  writeFileSync(join(swapDirectory, PLAIN_QUARANTINE_FILE), plainQuarantine, { mode: 0o600 });
  writeFileSync(join(swapDirectory, QUARANTINE_FILE), quarantine, { mode: 0o600 });
}

/** Ends what is still kept silent of a swap: for processes that do not come back. */
export function endQuarantine(swapDirectory: string): void {
  const path = join(swapDirectory, QUARANTINE_FILE);
  if (!existsSync(path)) return;
  const tables = [...readFileSync(path, "utf8").matchAll(/^table inet (\S+)/gm)].map(([, table = ""]) => table);
  removeTable(...tables);
}

/** Waits until all is there; the thaw's own check says what is missing when that takes too long. */
export async function waitForNetwork(needs: readonly NetworkNeed[], signal?: AbortSignal): Promise<void> {
  const end = Date.now() + LONGEST_WAIT_MS;
  const ended = (): boolean => Date.now() > end || signal?.aborted === true;
  while (needs.some((need) => missingOf(need) !== undefined) && !ended()) await delay(PAUSE_MS);
}
