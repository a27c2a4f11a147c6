/** Which file it was, as images keep it (`sys/file-identity.ts`). */
import * as v from "valibot";

export const identitySchema = v.strictObject({
  inode: v.string(),
  fileSystem: v.number(),
  device: v.string(),
  boot: v.string(),
  birth: v.optional(v.string()),
  handle: v.optional(v.string()),
});
