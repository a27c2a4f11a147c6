/** What of the network a swap leaves behind and must find again: silence for its connections, addresses, routes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { NetworkTraces } from "../resources/files/sockets/traces.ts";
import { removeTable } from "../resources/files/sockets/silence.ts";
import { missingOf, type NetworkNeed } from "../resources/files/sockets/surroundings.ts";

/** Beside a swap's record: rules that the unit loads before the network comes up. */
export const SILENCE_FILE = "silence.nft";
/** The same for kernels that do not take the first: its name must not end as the other does. */
export const PLAIN_SILENCE_FILE = "silence-plain.nft";

/** How long the network may take to come up before the thaw says what is missing. */
const LONGEST_WAIT_MS = 300_000;
const PAUSE_MS = 100;

/** Leaves the silence for the next kernel beside the swap's record. */
export function leaveSilence(
  { silence, plainSilence }: Pick<NetworkTraces, "silence" | "plainSilence">,
  swapDirectory: string,
): void {
  if (silence === "") return;
  writeFileSync(join(swapDirectory, PLAIN_SILENCE_FILE), plainSilence, { mode: 0o600 });
  writeFileSync(join(swapDirectory, SILENCE_FILE), silence, { mode: 0o600 });
}

/** Ends what is still kept silent of a swap: for processes that do not come back. */
export function endSilence(swapDirectory: string): void {
  const path = join(swapDirectory, SILENCE_FILE);
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
