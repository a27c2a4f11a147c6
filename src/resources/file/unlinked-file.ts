/** A file that was unlinked while it was open or mapped: its contents travel in the image. */
import { basename, dirname } from "node:path";
import { NAMELESS_INODE, NAMELESS_LINK } from "./nameless.ts";
import * as v from "valibot";
import { existsSync, unlinkSync } from "../../sys/files.ts";
import type { ProcPath } from "../../sys/mount-view.ts";
import { call } from "../../sys/call.ts";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { FS_FL } from "../../abi/file-flags.ts";
import { fileFlags, setFileFlags } from "../../sys/file-flags.ts";
import { S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { copyContents } from "./copy.ts";
import { extraAttributes, freezeAttributes, thawAttributes } from "./attributes.ts";
import { linkedPath, type ContentsHandle, type ContentsLook } from "./contents.ts";
import { identitySchema } from "./identity-schema.ts";
import { freezeNoFollow, noFollow, OpenedByName } from "./no-follow.ts";
import { folderOf, createInDirectory } from "./create-in-directory.ts";
import { asReader, openPath } from "./path-file.ts";
import { openToRead } from "./readable.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("unlinked-file"),
  /** Where it stood. */
  path: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  size: v.number(),
  /** The folder in which it stood. */
  parentDirectory: v.optional(identitySchema),
  ...extraAttributes,
  /** FS_…_FL names joined by | (ioctl_iflags(2)). */
  flags: v.optional(v.string()),
  /** O_TMPFILE (open(2)): it never had a name and may get one by linkat(2). */
  temporary: v.optional(v.literal(true)),
  ...noFollow,
  blob: v.string(),
});
export type UnlinkedFileState = v.InferOutput<typeof schema>;

export function freezeUnlinkedFile(context: FreezeContext, id: string, look: ContentsLook): UnlinkedFileState {
  if (look.stat.type !== S_IF.S_IFREG) {
    throw failures.UNLINKED_SPECIAL({ file: look });
  }
  const contents = openToRead(context, look, O.O_NOATIME);
  context.keep(contents);
  const flags = fileFlags(contents);
  return {
    kind: "unlinked-file",
    path: linkedPath(look.link),
    mode: look.stat.mode,
    uid: look.stat.uid,
    gid: look.stat.gid,
    size: look.stat.size,
    ...folderOf(context.mounts, look.link),
    ...freezeAttributes(context, look),
    ...(isTemporary(context, look) && { temporary: true }),
    ...freezeNoFollow(context, look.stat),
    ...(flags !== 0 && { flags: formatFlags(FS_FL, flags) }),
    blob: context.blob(id, { fd: contents }),
  };
}

export const unlinkedFile: ObjectKind<UnlinkedFileState, ContentsHandle, "unlinked-file"> = {
  name: "unlinked-file",
  schema,
  differs: [
    { what: NAMELESS_INODE, met: () => true },
    {
      what: "whether a file of O_TMPFILE was opened with O_EXCL as well: it may be given a name after the thaw",
      met: ({ temporary }) => temporary === true,
    },
    { what: NAMELESS_LINK },
  ],
  forUser: ofAnyUser,
  paths: ({ path, parentDirectory: folder }) => [{ folder: dirname(path), identity: folder }],
  thaw(state, context: ThawContext): ContentsHandle {
    const { flags: marks } = state;
    const place = { path: dirname(state.path), identity: state.parentDirectory };
    const { writer, named } = createInDirectory(context, place, (at) => makeNameless(state, context, at));
    copyContents(context.openBlob(state.blob), writer, state.size);
    const fd = context.keep(state.temporary ? writer : asReader(writer));
    call("fchown", `Owning ${state.path}`, fd, state.uid, state.gid);
    call("fchmod", `Marking ${state.path}`, fd, state.mode);
    thawAttributes(fd, state);
    // Contents of shared mappings, and reading them in, may change the times again.
    context.during("arm", () => {
      thawAttributes(fd, { times: state.times });
      // Some of them forbid what was done until now.
      if (marks !== undefined) setFileFlags(fd, parseFlags(FS_FL, marks), `Marking ${state.path}`);
    });
    let fresh = state.temporary;
    return {
      open: (flags) => named?.take(flags) ?? openPath(`/proc/self/fd/${fd}`, flags),
      made(flags) {
        if (!fresh || (flags & O.O_TMPFILE) !== O.O_TMPFILE || (flags & O_ACCMODE) !== O.O_RDWR) return undefined;
        fresh = undefined;
        return fd;
      },
    };
  },
};

/** Only the descriptor that open(2) gave shows the flag. */
function isTemporary(context: FreezeContext, { stat }: ContentsLook): boolean {
  return context
    .openFiles()
    .some(
      ([, file]) =>
        file.stat.inode === stat.inode &&
        file.stat.device === stat.device &&
        (file.info.flags & O.O_TMPFILE) === O.O_TMPFILE,
    );
}

/**
 * Made at its old path, so that /proc shows it as it did, and unlinked again. Where that name is taken by now, any name
 * in the same directory does: the file must lie on the same file system.
 */
function makeNameless(
  state: UnlinkedFileState,
  context: ThawContext,
  at: ProcPath,
): { writer: LocalFd; named?: OpenedByName } {
  if (state.temporary) {
    const strictly = state.noFollow ? O.O_NOFOLLOW : 0;
    return { writer: openPath(`${at}/.`, O.O_RDWR | O.O_TMPFILE | strictly, 0o600) };
  }
  const name = spareName(at, basename(state.path));
  const writer = openPath(name, O.O_RDWR | O.O_CREAT | O.O_EXCL, 0o600);
  try {
    return { writer, named: new OpenedByName(state, name, context) };
  } finally {
    unlinkSync(name);
  }
}

/** A path in a directory, or where that name is taken another one there. */
export function spareName(at: ProcPath, name: string): ProcPath {
  return existsSync(`${at}/${name}`) ? `${at}/.kmonte-${process.pid}-${name}` : `${at}/${name}`;
}
