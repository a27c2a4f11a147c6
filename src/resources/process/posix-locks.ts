/** Locks of fcntl(2) with F_SETLK: they belong to the process, and any close of the file would release them. */
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { F } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import { parseFdInfo } from "../../proc/fdinfo.ts";
import { parseLocks } from "../../proc/locks.ts";
import { readdirOrEmpty } from "../../proc/read.ts";
import type { ProcessResource } from "../contract.ts";
import { checkTaken, encodeRange, rangeSchema, toRange } from "../file/locks.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.array(v.strictObject({ fd: v.number(), ...rangeSchema.entries }));

/**
 * What can be locked. /proc/locks would tell at once whether there are locks at all, but reading it makes the kernel
 * wait until every processor has passed a quiet state: some 20 ms.
 */
const LOCKABLE = new Set<number>([S_IF.S_IFREG, S_IF.S_IFDIR, S_IF.S_IFCHR, S_IF.S_IFBLK]);

export const posixLocks: ProcessResource<v.InferOutput<typeof schema>, "posixLocks"> = {
  name: "posixLocks",
  of: "files",
  schema,
  forUser: ofAnyUser,
  freeze(process) {
    const { pid, task, context } = process;
    const seen = new Set<string>();
    const files = new Map(context.openFiles());
    return readdirOrEmpty(procPath(task, "fd")).flatMap((name) => {
      const fd = Number(name);
      const id = context.fileId(pid, fd) ?? "";
      const file = files.get(id);
      // Duplicates of one open file show the same locks; pipes and sockets cannot have any.
      if (!file || seen.has(id) || !LOCKABLE.has(file.stat.type)) return [];
      seen.add(id);
      const locks = parseLocks(parseFdInfo(readFileSync(procPath(task, `fdinfo/${fd}`), "utf8")));
      return locks.filter(({ type }) => type === "POSIX").map((lock) => ({ fd, ...toRange(file, lock) }));
    });
  },
  thaw(process, locks) {
    // Late: until then descriptors of the same files may be opened and closed in the process.
    process.context.during("arm", () => {
      for (const lock of locks) {
        const at = process.scope.put(encodeRange(lock));
        checkTaken("fcntl", process.scope.attempt("fcntl", lock.fd, F.F_SETLK, at), lock, process.pid);
      }
    });
  },
};
