/** What an image keeps of a file that is opened by its name, whether it stays where it is or travels. */
import * as v from "valibot";
import { identitySchema } from "./identity-schema.ts";

export const namedFile = {
  path: v.string(),
  /** What the file was when it was frozen; a mapped file must still be the same. */
  size: v.number(),
  mtimeNs: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  identity: v.optional(identitySchema),
  /** Of a device node: `major:minor`. */
  device: v.optional(v.string()),
};
