import { Refusal } from "../lib/errors.ts";

/** Refuses anybody but root; `deed` is what was to be done. */
export function requireRoot(deed: string): void {
  if (process.geteuid?.() === 0) return;
  throw new Refusal("NOT_ROOT", {
    what: `Only root can ${deed}.`,
    why: "It does for others what needs rights that they do not have.",
    remedy: "Run it with sudo.",
  });
}
