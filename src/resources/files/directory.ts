/** An open directory, or any file system object opened with O_PATH. */
import { placed } from "../../abi/namespaces.ts";
import { lstatSync } from "node:fs";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import { Refusal } from "../../lib/errors.ts";
import type { FileKind } from "../contract.ts";
import { isLinked, type ContentsHandle } from "../objects/contents.ts";
import { freezeGoneDirectory, goneDirectoryId } from "../objects/gone-directory.ts";
import { openPath } from "../objects/path-file.ts";

const schema = v.union([v.strictObject({ path: v.string() }), v.strictObject({ gone: v.string() })]);

export const directory: FileKind<v.InferOutput<typeof schema>> = {
  name: "directory",
  schema,
  recognise: (file) =>
    file.stat.type === S_IF.S_IFDIR || ((file.info.flags & O.O_PATH) !== 0 && file.stat.type !== S_IF.S_IFREG),
  freeze(file) {
    if (isLinked(file.link, file.stat)) return { path: file.link };
    if (file.stat.type !== S_IF.S_IFDIR) {
      throw new Refusal(
        "UNLINKED_SPECIAL",
        {
          what: `Process ${file.pid} (${file.command}) holds something whose name is gone.`,
          why: `Descriptor ${file.fd} leads to ${file.link}.`,
          remedy: "Let the program close it first.",
        },
        { pid: file.pid, fd: file.fd, command: file.command, path: file.link },
      );
    }
    const id = goneDirectoryId(file.stat);
    return { gone: file.context.object(id, () => freezeGoneDirectory(file.link, file.stat)) };
  },
  check(state) {
    if (!("path" in state) || lstatSync(state.path, { throwIfNoEntry: false })) return undefined;
    return new Refusal(
      "FILE_MISSING",
      {
        what: `${state.path} is not what the processes had open.`,
        why: "It cannot be found (ENOENT).",
        remedy: "Make it again.",
      },
      { path: state.path },
    );
  },
  thaw(state, context, flags) {
    const wanted = flags & (O.O_DIRECTORY | O.O_PATH | O.O_NOFOLLOW | O.O_NOATIME);
    if ("path" in state) return openPath(placed(state.path), wanted);
    return context.object<ContentsHandle>(state.gone).open(wanted & ~O.O_NOFOLLOW);
  },
};
