import type { Identity } from "../../sys/identity.ts";
import type { Outside } from "../../proc/outside.ts";

/** What a user may choose of a look, for a freeze and for a check. */
export interface LookOptions {
  /** Connections to processes of this machine that stay outside come back closed. */
  readonly closeExternal?: boolean | undefined;
  /** Paths that come along as a whole where they would be gone after a boot. */
  readonly carry?: readonly string[] | undefined;
  /** The ordinary user on whose behalf it is done. */
  readonly user?: Identity | undefined;
  /** What becomes of the processes when the image is complete; a check leaves them as they are. */
  readonly end?: "kill" | "resume" | "hold" | undefined;
  /** The rest of the machine, seen before the set was stopped. */
  readonly outside?: Outside | undefined;
}
