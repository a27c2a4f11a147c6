/** A named pipe (fifo(7)), with its name or without one by now. */
import { placed } from "../../abi/namespaces.ts";
import { chmodSync, chownSync, closeSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import * as v from "valibot";
import { attempt, call, withText } from "../../abi/call.ts";
import { pollNow, POLLHUP } from "../../abi/epoll.ts";
import { ERRNO } from "../../abi/errno.ts";
import { AT_FDCWD, O, O_ACCMODE } from "../../abi/fcntl.ts";
import { lstat, S_IF } from "../../abi/stat.ts";
import { Refusal } from "../../lib/errors.ts";
import type { ObjectKind, OpenFile, ThawContext } from "../contract.ts";
import { isLinked, linkedPath } from "./contents.ts";
import { freezeNoFollow, noFollow, OpenedByName } from "./no-follow.ts";
import { refuseOutside } from "./outside.ts";
import { openPath } from "./path-file.ts";
import type { PipeHandle } from "./pipe.ts";
import { fillPipe, pipeData, readPipe } from "./pipe-data.ts";
import { spareName } from "./unlinked-file.ts";
import { ofAnyUser } from "../for-user.ts";

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
  ...noFollow,
  ...pipeData,
});
export type FifoState = v.InferOutput<typeof schema>;

export function freezeFifo(file: OpenFile, id: string): FifoState {
  refuseOutside(file);
  const { mode, uid, gid } = file.stat;
  const linked = isLinked(file.link, file.stat);
  const awaits = awaitsWriter(file) && { awaitsWriter: true as const };
  const strict = freezeNoFollow(file.context, file.stat);
  return {
    kind: "fifo",
    path: linkedPath(file.link),
    linked,
    mode,
    uid,
    gid,
    ...awaits,
    ...strict,
    ...readPipe(file, id),
  };
}

function awaitsWriter({ context, stat: { inode, device } }: OpenFile): boolean {
  const ends = context.openFiles().filter(([, { stat }]) => stat.inode === inode && stat.device === device);
  return ends.every(
    ([, { info, local }]) => (info.flags & (O_ACCMODE | O.O_PATH)) === 0 && (pollNow(local, 0) & POLLHUP) === 0,
  );
}

export const fifo: ObjectKind<FifoState, PipeHandle> = {
  name: "fifo",
  schema,
  forUser: ofAnyUser,
  // It is filled through a descriptor that reads and writes.
  paths: ({ path, linked }) => [linked ? { path, flags: O.O_RDWR } : { folder: dirname(path) }],
  thaw(state, context: ThawContext): PipeHandle {
    const old = placed(state.path);
    const path = state.linked ? old : spareName(old);
    if (makeFifo(path, state)) {
      if (state.linked) context.undo(path, () => unlinkSync(path));
    } else if (lstat(path).type !== S_IF.S_IFIFO) {
      throw new Refusal(
        "FILE_CHANGED",
        {
          what: `${path} is not what the processes had open.`,
          why: "It was a FIFO.",
          remedy: "Move it out of the way.",
        },
        { path },
      );
    }
    const reader = state.awaitsWriter && openPath(path, O.O_NONBLOCK);
    const early = reader && new OpenedByName(state, path, context, O.O_NONBLOCK);
    const both = openPath(path, O.O_RDWR | O.O_NONBLOCK);
    // Who opens it for reading while someone writes would see that one go.
    const named = reader === undefined ? new OpenedByName(state, path, context, O.O_NONBLOCK) : early;
    if (!state.linked) unlinkSync(path);
    fillPipe(both, state, context);
    if (reader !== undefined) closeSync(both);
    const held = context.keep(reader ?? both);
    // Not blocking: a reader would wait for a writer to come. The caller sets the flags that the file had.
    return {
      open: (flags) => named?.take(flags) ?? openPath(`/proc/self/fd/${held}`, (flags & ~O.O_DIRECT) | O.O_NONBLOCK),
    };
  },
};

/** mkfifo(3), because a reboot wipes /tmp; false when there is something already. */
function makeFifo(path: string, { mode, uid, gid }: FifoState): boolean {
  const result = withText(path, (address) => attempt("mknodat", AT_FDCWD, address, S_IF.S_IFIFO | mode, 0));
  if (result === -ERRNO.EEXIST) return false;
  if (result < 0)
    withText(path, (address) => call("mknodat", `Making ${path}`, AT_FDCWD, address, S_IF.S_IFIFO | mode, 0));
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  return true;
}
