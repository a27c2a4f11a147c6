/** Where kmonte keeps what it must remember between two runs. */
import { homedir } from "node:os";
import { join } from "node:path";

/** KMONTE_STATE if it is set, for tests and for those who keep it elsewhere; /var/lib/kmonte for root, and one's own else. */
export function stateDirectory(): string {
  const chosen = process.env["KMONTE_STATE"];
  if (chosen !== undefined && chosen !== "") return chosen;
  return process.geteuid?.() === 0 ? "/var/lib/kmonte" : join(homedir(), ".local/state/kmonte");
}
