/** Working directory, root and umask of a process (chdir(2), chroot(2), umask(2)). */
import { taskOf } from "../../abi/living.ts";
import { placed } from "../../abi/namespaces.ts";
import { readlinkSync } from "node:fs";
import * as v from "valibot";
import { O } from "../../abi/fcntl.ts";
import { stat } from "../../abi/stat.ts";
import type { FreezeProcess, ProcessResource } from "../contract.ts";
import { isLinked, type ContentsHandle } from "../objects/contents.ts";
import { freezeGoneDirectory, goneDirectoryId } from "../objects/gone-directory.ts";
import { openPath } from "../objects/path-file.ts";

const place = v.union([v.string(), v.strictObject({ gone: v.string() })]);
const schema = v.strictObject({ cwd: place, root: place, umask: v.number() });

export const filesystemContext: ProcessResource<v.InferOutput<typeof schema>> = {
  name: "filesystemContext",
  of: "filesystem",
  schema,
  freeze: (process) => ({
    cwd: readPlace(process, "cwd"),
    root: readPlace(process, "root"),
    umask: Number.parseInt(process.status.get("Umask") ?? "022", 8),
  }),
  thaw(process, { cwd, root, umask }) {
    const { scope } = process;
    const enter = (where: v.InferOutput<typeof place>, then: (fd: number) => void): void => {
      const flags = O.O_DIRECTORY | O.O_PATH;
      const gone = typeof where === "string" ? undefined : process.context.object<ContentsHandle>(where.gone);
      const local = process.context.keep(gone ? gone.open(flags) : openPath(placed(where as string), flags));
      process.lend(local, then);
    };
    if (root !== "/") {
      enter(root, (fd) => scope.call("fchdir", `Entering ${nameOf(root)}`, fd));
      scope.call("chroot", `Making ${nameOf(root)} the root of process ${process.pid}`, scope.put(Buffer.from(".\0")));
    }
    enter(cwd, (fd) => scope.call("fchdir", `Entering ${nameOf(cwd)}`, fd));
    scope.call("umask", "Setting the umask", umask);
  },
};

function nameOf(where: v.InferOutput<typeof place>): string {
  return typeof where === "string" ? where : "a directory that is gone";
}

/** A path, or the object of a directory that is gone. */
function readPlace(process: FreezeProcess, name: "cwd" | "root"): v.InferOutput<typeof place> {
  const via = `/proc/${taskOf(process.pid)}/${name}`;
  const path = readlinkSync(via);
  const seen = stat(via);
  if (isLinked(path, seen)) return path;
  return { gone: process.context.object(goneDirectoryId(seen), () => freezeGoneDirectory(path, seen, via)) };
}
