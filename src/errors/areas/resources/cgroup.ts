/** Control groups. */
import { failed, type Texts } from "../../entry.ts";

export const cgroup = {
  CGROUP: failed(({ who, path, errno }: Texts<"who" | "path"> & { readonly errno?: string | undefined }) => ({
    what: `Process ${who} cannot be put into its control group.`,
    why: `Writing ${path} failed with ${errno}.`,
    remedy: "Look at the limits and the kind of the group (cgroups(7)), or remove it: it is made again then.",
  })),
};
