/** A pipe without a name (pipe(2)). Its two ends are open files of their own. */
import * as v from "valibot";
import { attempt } from "../../sys/call.ts";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { refuseOutside } from "./outside.ts";
import { openPath } from "../file/path-file.ts";
import { fillPipe, makePipe, pipeData, readPipe } from "./data.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("pipe"),
  uid: v.number(),
  gid: v.number(),
  ...pipeData,
});
export type PipeState = v.InferOutput<typeof schema>;

export interface PipeHandle {
  /** Opens one end: a new open file description. */
  open(flags: number): LocalFd;
}

export function freezePipe(file: OpenFile, id: string): PipeState {
  refuseOutside(file);
  return { kind: "pipe", uid: file.stat.uid, gid: file.stat.gid, ...readPipe(file, id) };
}

export const pipe: ObjectKind<PipeState, PipeHandle, "pipe"> = {
  name: "pipe",
  schema,
  forUser: ofAnyUser,
  thaw(state, context: ThawContext): PipeHandle {
    const [read, write] = makePipe(0);
    context.keep(read);
    context.keep(write);
    fillPipe(write, state, context);
    attempt("fchown", read, state.uid, state.gid);
    const fresh = new Map<number, LocalFd>([
      [0, read],
      [O.O_WRONLY, write],
    ]);
    return {
      open(flags) {
        // An end as pipe(2) made it differs from one that was opened through /proc: only the latter has O_LARGEFILE.
        const end = fresh.get(flags & O_ACCMODE);
        if (end === undefined || (flags & O.O_LARGEFILE) !== 0) {
          return openPath(`/proc/self/fd/${read}`, (flags & ~O.O_DIRECT) | O.O_NONBLOCK);
        }
        fresh.delete(flags & O_ACCMODE);
        return end;
      },
    };
  },
};
