/** What only root can do is refused to others before anything else is looked at. */
import { Refusal } from "../lib/errors.ts";

/** `purpose` completes "Only root can …". */
export function requireRoot(purpose: string): void {
  if (process.geteuid?.() === 0) return;
  throw new Refusal("NOT_ROOT", {
    what: `Only root can ${purpose}.`,
    why: `kmonte runs as user ${process.geteuid?.()}.`,
    remedy: "Run it with sudo.",
  });
}
