/** An open regular file: with a path, unlinked, or a memfd. Its position and flags belong to the open file. */
import * as v from "valibot";
import { procPath } from "../../sys/task.ts";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { FS_FL } from "../../abi/file-flags.ts";
import { fileFlags } from "../../sys/file-flags.ts";
import { S_IF } from "../../abi/stat.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import { contentsObject, type ContentsHandle } from "./contents.ts";
import { isPressureTrigger } from "./unsupported.ts";
import { ofAnyUser } from "../ordinary-user.ts";
import { reads } from "./readable.ts";

const schema = v.strictObject({ contents: v.string() });

/** Flags that open(2) takes and that are not set later with F_SETFL. */
const OPEN_ONLY =
  O_ACCMODE | O.O_APPEND | O.O_PATH | O.O_DIRECT | O.O_DSYNC | O.O_SYNC | O.O_NOATIME | O.O_LARGEFILE | O.O_NOFOLLOW;

export const regularFile: FileKind<v.InferOutput<typeof schema>, "regular"> = {
  name: "regular",
  schema,
  forUser: ofAnyUser,
  paths: ({ contents }, flags, view) => view.pathsOf(contents, flags),
  // Secret memory looks like a file that was unlinked, but no one else may read it.
  recognise: (file) =>
    file.stat.type === S_IF.S_IFREG && !file.link.startsWith("/secretmem") && !isPressureTrigger(file),
  freeze(file) {
    refuseForbidden(file);
    const { context, link, stat, pid, task, command } = file;
    const via = procPath(task, `fd/${file.fd}`);
    const local = reads(file) ? file.local : undefined;
    return { contents: contentsObject(context, { via, link, stat, pid, task, command, local }) };
  },
  thaw(state, context, flags) {
    const contents = context.object<ContentsHandle>(state.contents);
    return contents.made?.(flags) ?? contents.open(flags & OPEN_ONLY);
  },
};

/** What was opened for writing before its file was marked (chattr(1)) could not be opened so again. */
function refuseForbidden({ info, local, pid, fd, command, link, stat }: OpenFile): void {
  if ((info.flags & O.O_PATH) !== 0 || (info.flags & O_ACCMODE) === 0 || stat.links === 0) return;
  const flags = fileFlags(local);
  const immutable = (flags & FS_FL.FS_IMMUTABLE_FL) !== 0;
  if (!immutable && ((flags & FS_FL.FS_APPEND_FL) === 0 || (info.flags & O.O_APPEND) !== 0)) return;
  throw failures.FILE_FORBIDDEN({ pid, command, fd, link, immutable });
}
