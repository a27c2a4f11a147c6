/** Devices without a state of their own: they are opened again by their path. */
import { placed } from "../../abi/namespaces.ts";
import { unlinkSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { call, withText } from "../../abi/call.ts";
import { AT_FDCWD, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FileKind } from "../contract.ts";
import { isLinked, linkedPath } from "../objects/contents.ts";
import { inFolder } from "../objects/gone-directory.ts";
import { openPath } from "../objects/path-file.ts";
import { spareName } from "../objects/unlinked-file.ts";

const schema = v.strictObject({
  path: v.string(),
  device: v.string(),
  /** The node was removed after it was opened. */
  gone: v.optional(v.literal(true)),
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

export const statelessDevice: FileKind<v.InferOutput<typeof schema>> = {
  name: "device",
  schema,
  recognise: (file) => file.stat.type === S_IF.S_IFCHR && STATELESS.has(file.stat.deviceNode),
  freeze: (file) => ({
    path: linkedPath(file.link),
    device: file.stat.deviceNode,
    ...(!isLinked(file.link, file.stat) && { gone: true as const }),
  }),
  thaw: (state, _context, flags) =>
    state.gone ? openGone(state, flags) : openPath(placed(state.path), flags & O_ACCMODE),
};

/** A node of one's own for a moment, at the old path if nothing else is there. */
function openGone({ path, device }: v.InferOutput<typeof schema>, flags: number): LocalFd {
  return inFolder(dirname(path), () => {
    const name = spareName(path);
    const [major = 0, minor = 0] = device.split(":").map(Number);
    withText(name, (at) => call("mknodat", `Making ${name}`, AT_FDCWD, at, S_IF.S_IFCHR | 0o600, (major << 8) | minor));
    try {
      return openPath(name, flags & O_ACCMODE);
    } finally {
      unlinkSync(name);
    }
  });
}
