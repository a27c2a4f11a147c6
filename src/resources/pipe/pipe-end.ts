/** One end of a pipe, or both (a descriptor that was opened through /proc for reading and writing). */
import * as v from "valibot";
import { S_IF } from "../../abi/stat.ts";
import type { FileKind } from "../contract.ts";
import { findInherited, inheritedSchema, thawInherited } from "./inherited.ts";
import { freezePipe, type PipeHandle } from "./pipe.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.union([v.strictObject({ pipe: v.string() }), v.strictObject({ inherited: inheritedSchema })]);

export const pipeEnd: FileKind<v.InferOutput<typeof schema>, "pipe"> = {
  name: "pipe",
  schema,
  differs: [
    {
      what: "the count of a blocking write(2) to a pipe or socket that had been done in part: the call returns it, as it does when the process is stopped and continued",
    },
  ],
  forUser: ofAnyUser,
  recognise: (file) => file.stat.type === S_IF.S_IFIFO && file.link.startsWith("pipe:["),
  freeze(file) {
    const inherited = findInherited(file);
    if (inherited) return { inherited };
    const id = `pipe:${file.stat.inode}`;
    return { pipe: file.context.object(id, () => freezePipe(file, id)) };
  },
  thaw: (state, context, flags) =>
    "pipe" in state
      ? context.object<PipeHandle>(state.pipe).open(flags)
      : thawInherited(state.inherited, context, flags),
};
