/** Devices without a state of their own: they are opened again by their path. */
import { NAMELESS_INODE, NAMELESS_LINK } from "./nameless.ts";
import { basename, dirname } from "node:path";
import { readlinkSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import { stat } from "../../sys/stat.ts";
import { failures } from "../../errors/catalogue.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { FileKind } from "../contract.ts";
import { isLinked, linkedPath } from "./contents.ts";
import { freezeUnlinkedSpecial, unlinkedSpecialSchema, openUnlinkedSpecial } from "./unlinked-special.ts";
import { reopen } from "./reopen.ts";
import { carryOpened } from "../volatile/collect.ts";
import { machinePathOf } from "../volatile/machine-path.ts";
import { isMadeAtBoot } from "../volatile/file-systems.ts";

const schema = v.strictObject({
  path: v.string(),
  device: v.string(),
  /** The node was removed after it was opened. */
  unlinked: v.optional(unlinkedSpecialSchema),
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

/** Misc devices whose descriptors only carry questions and orders; their numbers are given out at boot (misc_register). */
const ASKED = /^(loop-control|userfaultfd|kvm|vsock|autofs|btrfs-control|device-mapper|hw_random|udmabuf)$/;

/** The driver's name of a device, by its number. */
function isAsked(node: string): boolean {
  const link = orIfGone(() => readlinkSync(`/sys/dev/char/${node}`), "");
  return ASKED.test(basename(link));
}

export const statelessDevice: FileKind<v.InferOutput<typeof schema>, "device"> = {
  name: "device",
  schema,
  differs: [{ what: NAMELESS_INODE, met: ({ unlinked: gone }) => gone !== undefined }, { what: NAMELESS_LINK }],
  *forUser({ unlinked: gone }) {
    if (gone) yield "It has a device open whose node is gone.";
  },
  paths: ({ path, device, unlinked: gone }, flags) =>
    gone ? [{ folder: dirname(path), identity: gone.parentDirectory }] : [{ path, device, flags }],
  recognise: (file) =>
    file.stat.type === S_IF.S_IFCHR && (STATELESS.has(file.stat.deviceNode) || isAsked(file.stat.deviceNode)),
  freeze(file) {
    const { context, task, local, link, stat: seen } = file;
    const state = { path: linkedPath(link), device: seen.deviceNode };
    if (!isLinked(context.mounts, link, seen)) return { ...state, unlinked: freezeUnlinkedSpecial(file) };
    // Nodes of /dev come with the kernel.
    const path = machinePathOf(context, task, `/proc/self/fd/${local}`, link);
    if (path !== undefined && !isMadeAtBoot(path)) carryOpened(context, path, false);
    return state;
  },
  check({ path, device, unlinked: gone }) {
    const found = gone ? undefined : orIfGone(() => stat(OWN_VIEW.at(path)), undefined);
    if (gone || found?.type === S_IF.S_IFCHR) return undefined;
    return failures.DEVICE_MISSING({ path, device });
  },
  thaw: (state, context, flags) =>
    state.unlinked
      ? openUnlinkedSpecial(context, state.unlinked, flags & AT_OPEN)
      : reopen(context, state, flags & AT_OPEN),
};
