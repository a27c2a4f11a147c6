/** An open regular file: with a path, unlinked, or a memfd. Its position and flags belong to the open file. */
import * as v from "valibot";
import { taskOf } from "../../abi/living.ts";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import type { FileKind } from "../contract.ts";
import { contentsObject, type ContentsHandle } from "../objects/contents.ts";

const schema = v.strictObject({ contents: v.string() });

/** Flags that open(2) takes and that are not set later with F_SETFL. */
const OPEN_ONLY = O_ACCMODE | O.O_PATH | O.O_DIRECT | O.O_DSYNC | O.O_SYNC | O.O_NOATIME | O.O_LARGEFILE | O.O_NOFOLLOW;

export const regularFile: FileKind<v.InferOutput<typeof schema>> = {
  name: "regular",
  schema,
  // Secret memory looks like a file that was unlinked, but no one else may read it.
  recognise: (file) => file.stat.type === S_IF.S_IFREG && !file.link.startsWith("/secretmem"),
  freeze: (file) => ({
    contents: contentsObject(file.context, {
      via: `/proc/${taskOf(file.pid)}/fd/${file.fd}`,
      link: file.link,
      stat: file.stat,
      pid: file.pid,
      command: file.command,
    }),
  }),
  thaw(state, context, flags) {
    const contents = context.object<ContentsHandle>(state.contents);
    const temporary = (flags & O.O_TMPFILE) === O.O_TMPFILE ? contents.temporary?.(flags) : undefined;
    return temporary ?? contents.open(flags & OPEN_ONLY);
  },
};
