/** Devices without a state of their own: they are opened again by their path. */
import { placed } from "../../abi/namespaces.ts";
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import type { FileKind } from "../contract.ts";
import { isLinked, linkedPath } from "../objects/contents.ts";
import { freezeGoneSpecial, goneSpecialSchema, openGoneSpecial } from "../objects/gone-special.ts";
import { openPath } from "../objects/path-file.ts";

const schema = v.strictObject({
  path: v.string(),
  device: v.string(),
  /** The node was removed after it was opened. */
  gone: v.optional(goneSpecialSchema),
});

/** Memory devices of major number 1 that keep nothing (Documentation/admin-guide/devices.txt). */
const STATELESS = new Map([
  ["1:3", "/dev/null"],
  ["1:5", "/dev/zero"],
  ["1:7", "/dev/full"],
  ["1:8", "/dev/random"],
  ["1:9", "/dev/urandom"],
  ["1:11", "/dev/kmsg"],
]);

/** Flags that open(2) takes and that stay; the others are set later. */
const AT_OPEN = O_ACCMODE | O.O_SYNC | O.O_DSYNC | O.O_NOATIME | O.O_LARGEFILE | O.O_NOFOLLOW;

export const statelessDevice: FileKind<v.InferOutput<typeof schema>> = {
  name: "device",
  schema,
  recognise: (file) => file.stat.type === S_IF.S_IFCHR && STATELESS.has(file.stat.deviceNode),
  freeze: (file) => ({
    path: linkedPath(file.link),
    device: file.stat.deviceNode,
    ...(!isLinked(file.link, file.stat) && { gone: freezeGoneSpecial(file.local, file.link, file.stat) }),
  }),
  thaw: (state, _context, flags) =>
    state.gone ? openGoneSpecial(state.gone, flags & AT_OPEN) : openPath(placed(state.path), flags & AT_OPEN),
};
