/**
 * What the set uses on file systems that are new at every boot (tmpfs(5)): files, folders, links, FIFOs and socket names
 * travel with their names, and those that are not there any more are made again before anything is opened.
 */
import * as v from "valibot";
import type { ObjectKind } from "../contract.ts";
import { CARRIED } from "./collect.ts";
import { IN_MEMORY_INODE } from "./file-systems.ts";
import { entrySchema } from "./entry.ts";
import { Maker } from "./make.ts";
import { planFor } from "./plan.ts";

const schema = v.strictObject({
  kind: v.literal(CARRIED),
  /** Folders before what is in them. */
  entries: v.array(entrySchema),
});
export type CarriedFilesState = v.InferOutput<typeof schema>;

export const carriedFiles: ObjectKind<CarriedFilesState, object, typeof CARRIED> = {
  name: CARRIED,
  schema,
  differs: [{ what: IN_MEMORY_INODE, met: ({ entries }) => entries.some(({ role }) => role === "used") }],
  /** Folders above may be anybody's: they are made with the user's rights, or not at all. */
  *forUser({ entries }, { user: { uid, gid, groups } }) {
    for (const entry of entries) {
      if (entry.role === "above") continue;
      const device = entry.type === "S_IFCHR" || entry.type === "S_IFBLK";
      if (device || entry.uid !== uid || ![gid, ...groups].includes(entry.gid))
        yield `It takes ${entry.path} along, which is not the user's.`;
    }
  },
  check: (state, { openBlob }) => planFor(state, openBlob).problems,
  thaw(state, context) {
    const { steps, problems } = planFor(state, (name) => context.openBlob(name));
    // It has come since it was looked for.
    if (problems[0]) throw problems[0];
    new Maker(context, steps).make();
    return {};
  },
};
