/** What only root can do is refused to others before anything else is looked at. */
import { failures } from "../errors/catalogue.ts";

/** Why the service for ordinary users is root's. */
export const FOR_OTHERS = "It does for others what needs rights that they do not have.";

/** `purpose` completes "Only root can …"; `why` is a sentence that says why only root can. */
export function requireRoot(purpose: string, why = `kmonte runs as user ${process.geteuid?.()}.`): void {
  if (process.geteuid?.() === 0) return;
  throw failures.NOT_ROOT({ purpose, why });
}
