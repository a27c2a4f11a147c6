/** What makes a Debian a guest of the lab, by the kind of guest. */
import type { GuestFiles } from "./guest-root.ts";

export const ROOT_LABEL = "lab-root";

export interface GuestSettings {
  readonly files: GuestFiles;
  /** What systemd is kept from starting. */
  readonly masked: { readonly units: readonly string[]; readonly generators: readonly string[] };
}
