/** An open directory, or any file system object opened with O_PATH. */
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { lstatSync } from "../../sys/files.ts";
import { NAMELESS_INODE, NAMELESS_LINK } from "./nameless.ts";
import { identityOf } from "../../sys/file-identity.ts";
import { dirname } from "node:path";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import { readOwner } from "./signal-owner.ts";
import { freezeShadowed } from "./shadowed-file.ts";
import { isLinked, type ContentsHandle } from "./contents.ts";
import { freezeRemovedDirectory, removedDirectoryId } from "./removed-directory.ts";
import { freezeUnlinkedSpecial, unlinkedSpecialSchema, openUnlinkedSpecial } from "./unlinked-special.ts";
import { identitySchema } from "./identity-schema.ts";
import { reopen } from "./reopen.ts";
import { carryOpened } from "../volatile/collect.ts";
import { machinePathOf } from "../volatile/machine-path.ts";

const schema = v.union([
  v.strictObject({ path: v.string(), identity: v.optional(identitySchema), device: v.optional(v.string()) }),
  /** A directory without a name, or anything that is mounted over. */
  v.strictObject({ removed: v.string() }),
  /** Anything else without a name. */
  v.strictObject({ special: unlinkedSpecialSchema }),
]);

export const directory: FileKind<v.InferOutput<typeof schema>, "directory"> = {
  name: "directory",
  schema,
  differs: [{ what: NAMELESS_INODE, met: (state) => "special" in state }, { what: NAMELESS_LINK }],
  *forUser(state) {
    if ("special" in state && state.special.device !== undefined) yield "It has a device open whose node is gone.";
  },
  *paths(state, flags, view) {
    if ("path" in state) yield { ...state, flags };
    else if ("special" in state) yield { folder: dirname(state.special.path), identity: state.special.parentDirectory };
    else yield* view.pathsOf(state.removed, flags);
  },
  recognise: (file) =>
    file.stat.type === S_IF.S_IFDIR || ((file.info.flags & O.O_PATH) !== 0 && file.stat.type !== S_IF.S_IFREG),
  freeze(file) {
    refuseWatched(file);
    if (isLinked(file.context.mounts, file.link, file.stat)) {
      noteVolatile(file);
      const { type, deviceNode } = file.stat;
      const isNode = type === S_IF.S_IFCHR || type === S_IF.S_IFBLK;
      return { path: file.link, identity: identityOf(file.local), ...(isNode && { device: deviceNode }) };
    }
    const id = removedDirectoryId(file.stat);
    const { context, link, stat, pid, task, command } = file;
    const look = { via: `/proc/self/fd/${file.local}` as const, link, stat, pid, task, command };
    const covered = freezeShadowed(context, look);
    if (covered) return { removed: context.object(id, () => covered) };
    if (file.stat.type !== S_IF.S_IFDIR) return { special: freezeUnlinkedSpecial(file) };
    return { removed: context.object(id, () => freezeRemovedDirectory(context, look)) };
  },
  check(state) {
    if (!("path" in state) || lstatSync(OWN_VIEW.at(state.path), { throwIfNoEntry: false })) return undefined;
    return failures.FILE_MISSING.directory({ path: state.path });
  },
  thaw(state, context, flags) {
    const wanted = flags & (O.O_DIRECTORY | O.O_PATH | O.O_NOFOLLOW | O.O_NOATIME);
    if ("path" in state) return reopen(context, state, wanted);
    if ("special" in state) return openUnlinkedSpecial(context, state.special, wanted);
    return context.object<ContentsHandle>(state.removed).open(wanted);
  },
};

/** What would be gone after a boot travels with its name. */
function noteVolatile({ context, task, local, link, stat }: OpenFile): void {
  const path = machinePathOf(context, task, `/proc/self/fd/${local}`, link);
  if (path !== undefined) carryOpened(context, path, stat.type === S_IF.S_IFDIR);
}

/**
 * Watches of fcntl(2), F_NOTIFY, are shown nowhere. But setting one makes the process the owner of signals, and there
 * is no other reason for a directory to have an owner.
 */
function refuseWatched(file: OpenFile): void {
  if (file.stat.type !== S_IF.S_IFDIR || readOwner(file.local) === undefined) return;
  throw failures.DNOTIFY({ file });
}
