/** An end of a named pipe (fifo(7)), or both (O_RDWR). */
import * as v from "valibot";
import { S_IF } from "../../abi/stat.ts";
import type { FileKind } from "../contract.ts";
import { freezeFifo } from "./fifo.ts";
import type { PipeHandle } from "./pipe.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({ fifo: v.string() });

export const fifoEnd: FileKind<v.InferOutput<typeof schema>, "fifo"> = {
  name: "fifo",
  schema,
  forUser: ofAnyUser,
  paths: ({ fifo: id }, flags, view) => view.pathsOf(id, flags),
  recognise: (file) => file.stat.type === S_IF.S_IFIFO && file.link.startsWith("/"),
  freeze(file) {
    const id = `fifo:${file.stat.device}:${file.stat.inode}`;
    return { fifo: file.context.object(id, () => freezeFifo(file, id)) };
  },
  thaw: (state, context, flags) => context.object<PipeHandle>(state.fifo).open(flags),
};
