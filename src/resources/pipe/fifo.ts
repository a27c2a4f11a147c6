/** A named pipe (fifo(7)), with its name or without one by now. */
import { lstatSync, unlinkSync } from "../../sys/files.ts";
import { NAMELESS_INODE, NAMELESS_LINK } from "../file/nameless.ts";
import { pollNow } from "../../sys/poll.ts";
import { POLL } from "../../abi/poll.ts";
import type { MountView, OwnPath, ProcPath } from "../../sys/mount-view.ts";
import { closeSync } from "node:fs";
import { basename, dirname } from "node:path";
import * as v from "valibot";
import { call, withText } from "../../sys/call.ts";
import { identityOf } from "../../sys/file-identity.ts";
import { withOurRights } from "../../sys/identity.ts";
import { AT_FDCWD, O, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import { fstat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import { isLinked, linkedPath } from "../file/contents.ts";
import { freezeNoFollow, noFollow, OpenedByName } from "../file/no-follow.ts";
import { ownOpen } from "../file/unlinked-special.ts";
import { identitySchema } from "../file/identity-schema.ts";
import { findToReopen } from "../file/reopen.ts";
import { folderOf, createInDirectory } from "../file/create-in-directory.ts";
import { refuseOutside } from "./outside.ts";
import { openPath } from "../file/path-file.ts";
import type { PipeHandle } from "./pipe.ts";
import { fillPipe, pipeData, readPipe } from "./data.ts";
import { carryingOf } from "../volatile/collect.ts";
import { machinePathOf } from "../volatile/machine-path.ts";
import { spareName } from "../file/unlinked-file.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("fifo"),
  path: v.string(),
  /** Whether the path still leads to it. */
  linked: v.boolean(),
  /** It is open for reading only, and no writer has come yet: poll(2) tells of no hang-up. */
  awaitsWriter: v.optional(v.literal(true)),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** Which one it was, and the folder in which it stands or stood. */
  identity: v.optional(identitySchema),
  parentDirectory: v.optional(identitySchema),
  ...noFollow,
  ...pipeData,
});
export type FifoState = v.InferOutput<typeof schema>;

export function freezeFifo(file: OpenFile, id: string): FifoState {
  if (SESSION_REFERENCE.test(file.link)) noteSession(file);
  else refuseOutside(file);
  const { mode, uid, gid } = file.stat;
  const linked = isLinked(file.context.mounts, file.link, file.stat);
  const via = `/proc/self/fd/${file.local}` as const;
  const here = linked ? machinePathOf(file.context, file.task, via, file.link) : undefined;
  if (here !== undefined) carryingOf(file.context).above(here);
  const awaits = awaitsWriter(file) && { awaitsWriter: true as const };
  const strict = freezeNoFollow(file.context, file.stat);
  return {
    kind: "fifo",
    path: linkedPath(file.link),
    linked,
    mode,
    uid,
    gid,
    ...(linked && { identity: identityOf(file.local) }),
    ...folderOf(file.context.mounts, file.link),
    ...awaits,
    ...strict,
    ...readPipe(file, id),
  };
}

/**
 * How systemd-logind(8) learns that the leader of a session has ended: nothing is ever written into it, and after a boot
 * logind knows no session of before.
 */
const SESSION_REFERENCE = /^\/run\/systemd\/sessions\/[^/]+\.ref$/;

function noteSession({ context, pid, command, link }: OpenFile): void {
  const [, session = ""] = /([^/]+)\.ref$/.exec(link) ?? [];
  context.note(
    `After a boot, loginctl does not list session ${session} of process ${pid} (${command}); its processes are in a scope of that name.`,
  );
}

function awaitsWriter({ context, stat: { inode, device } }: OpenFile): boolean {
  const ends = context.openFiles().filter(([, { stat }]) => stat.inode === inode && stat.device === device);
  return ends.every(
    ([, { info, local }]) => (info.flags & (O_ACCMODE | O.O_PATH)) === 0 && (pollNow(local, 0) & POLL.POLLHUP) === 0,
  );
}

export const fifo: ObjectKind<FifoState, PipeHandle, "fifo"> = {
  name: "fifo",
  schema,
  differs: [{ what: NAMELESS_INODE, met: ({ linked }) => !linked }, { what: NAMELESS_LINK }],
  forUser: ofAnyUser,
  // It is filled through a descriptor that reads and writes, which waits for nobody.
  paths: ({ path, linked, identity, parentDirectory: folder }) => [
    linked ? { path, identity, flags: O.O_RDWR | O.O_NONBLOCK } : { folder: dirname(path), identity: folder },
  ],
  thaw(state, context: ThawContext): PipeHandle {
    if (state.linked && isThere(context.mounts, state.path)) return openLinked(state, context);
    const place = { path: dirname(state.path), identity: state.parentDirectory };
    const use = (at: ProcPath): PipeHandle => {
      const path = state.linked ? (`${at}/${basename(state.path)}` as const) : spareName(at, basename(state.path));
      const made = makeFifo(path, state);
      if (state.linked) context.undo(state.path, () => unlinkSync(context.mounts.at(state.path)));
      return opened(state, context, made, path);
    };
    // With its name, its folder stays as well.
    return createInDirectory(context, place, use, state.linked ? () => undefined : undefined);
  },
};

function isThere(mounts: MountView, path: string): boolean {
  return lstatSync(mounts.at(path), { throwIfNoEntry: false }) !== undefined;
}

/** The one that stands there. */
function openLinked(state: FifoState, context: ThawContext): PipeHandle {
  const found = findToReopen(context, state, O.O_RDWR);
  if (fstat(found).type === S_IF.S_IFIFO) return opened(state, context, found, context.mounts.at(state.path));
  closeSync(found);
  throw failures.FILE_CHANGED.fifo({ path: state.path });
}

/** `file` leads to it with O_PATH, and is closed; `path` as long as it has a name, which goes when it had none. */
function opened(state: FifoState, context: ThawContext, file: LocalFd, path: OwnPath): PipeHandle {
  const via = `/proc/self/fd/${file}` as const;
  const reader = state.awaitsWriter && openPath(via, O.O_NONBLOCK);
  const early = reader && new OpenedByName(state, path, context, O.O_NONBLOCK, file);
  const both = openPath(via, O.O_RDWR | O.O_NONBLOCK);
  // Who opens it for reading while someone writes would see that one go.
  const named = reader === undefined ? new OpenedByName(state, path, context, O.O_NONBLOCK, file) : early;
  if (!state.linked) unlinkSync(path);
  closeSync(file);
  fillPipe(both, state, context);
  if (reader !== undefined) closeSync(both);
  const held = context.keep(reader ?? both);
  // Not blocking: a reader would wait for a writer to come. The caller sets the flags that the file had.
  return {
    open: (flags) => named?.take(flags) ?? openPath(`/proc/self/fd/${held}`, (flags & ~O.O_DIRECT) | O.O_NONBLOCK),
  };
}

/** mkfifo(3), because a reboot wipes /tmp; returns a descriptor of O_PATH. */
function makeFifo(path: ProcPath, state: FifoState): LocalFd {
  withText(path, (address) => call("mknodat", `Making ${state.path}`, AT_FDCWD, address, S_IF.S_IFIFO | 0o600, 0));
  const made = openPath(path, O.O_PATH | O.O_NOFOLLOW);
  // Somebody else may have put something there meanwhile.
  if (fstat(made).type === S_IF.S_IFIFO && fstat(made).links === 1) withOurRights(() => ownOpen(made, state));
  return made;
}
