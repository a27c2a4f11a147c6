/** What is in an image. Apart from the others, as the state of an image has a schema for each kind of resource. */
import * as v from "valibot";
import { manifestSchema } from "../../image/manifest.ts";
import { stateSchema } from "../../image/schema.ts";
import { described } from "../../lib/described.ts";

export const inspectSchema = v.object({
  manifest: described(manifestSchema, "The files of the image, and the machine that it came from."),
  state: described(stateSchema, "What the processes were; docs/format.md says how to read it."),
});
