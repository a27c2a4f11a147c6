/** Open files and folders of /proc: opened again by their path, those of a process by way of the one that is built. */
import * as v from "valibot";
import { O, O_ACCMODE } from "../../abi/fcntl.ts";
import { PROC_SUPER_MAGIC } from "../../abi/stat.ts";
import { lstatSync } from "../../sys/files.ts";
import { fileSystemOf, stat } from "../../sys/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import { openOnProc } from "./reopen.ts";
import { linkedPath } from "./contents.ts";

const schema = v.strictObject({
  path: v.string(),
  /** It is of a process that has ended, with this id in the pid namespace that `namespaceMember` lives in. */
  ended: v.optional(v.strictObject({ pid: v.number(), namespaceMember: v.number() })),
  /** It is of a thread: there when the threads are. */
  thread: v.optional(v.literal(true)),
});

const OPEN = O_ACCMODE | O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW | O.O_NONBLOCK;

export const procFile: FileKind<v.InferOutput<typeof schema>, "proc-file"> = {
  name: "proc-file",
  schema,
  recognise: (file) =>
    file.link.startsWith("/proc/") &&
    (file.stat.device === stat("/proc").device || fileSystemOf(file.local) === PROC_SUPER_MAGIC),
  freeze(file) {
    const [, id, task] = /^\/proc\/(\d+)(?:\/task\/(\d+))?/.exec(file.link) ?? [];
    if (id === undefined) return { path: file.link };
    const pid = Number(id);
    if (isGone(file)) return { path: linkedPath(file.link), ended: { pid, namespaceMember: file.pid } };
    // In a /proc of another pid namespace the numbers are others; all who live there are frozen together.
    if (file.stat.device === stat("/proc").device && !file.context.pids.has(pid))
      throw failures.PROC_FILE({ file, pid });
    return { path: file.link, ...(task !== undefined && Number(task) !== pid && { thread: true as const }) };
  },
  needsThreads: ({ thread }) => thread === true,
  thaw({ path, ended }, context, flags) {
    const open = (at: string): LocalFd => openOnProc(context.mounts, at, flags & OPEN);
    if (!ended) return open(path);
    return context.standIn(ended.namespaceMember, ended.pid, () => context.keep(open(path)));
  },
};

function isGone(file: OpenFile): boolean {
  if (file.link.endsWith(" (deleted)")) return true;
  const [own = ""] = /^\/proc\/\d+(?:\/task\/\d+)?/.exec(file.link) ?? [];
  return !lstatSync(file.context.mounts.at(own), { throwIfNoEntry: false });
}
