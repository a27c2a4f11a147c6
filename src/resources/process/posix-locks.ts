/** Locks of fcntl(2) with F_SETLK: they belong to the process, and any close of the file would release them. */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { F } from "../../abi/fcntl.ts";
import { parseFdInfo } from "../../proc/fdinfo.ts";
import { parseLocks } from "../../proc/locks.ts";
import { readdirOrEmpty } from "../../proc/read.ts";
import type { FreezeProcess, ProcessResource } from "../contract.ts";
import { checkTaken, encodeRange, rangeSchema, toRange } from "../files/locks.ts";

const schema = v.array(v.strictObject({ fd: v.number(), ...rangeSchema.entries }));

export const posixLocks: ProcessResource<v.InferOutput<typeof schema>> = {
  name: "posixLocks",
  schema,
  freeze(process) {
    if (!anyPosixLock(process.pid)) return [];
    const { pid, context } = process;
    const seen = new Set<string>();
    const files = new Map(context.openFiles());
    return readdirOrEmpty(`/proc/${pid}/fd`).flatMap((name) => {
      const fd = Number(name);
      const id = context.fileId(pid, fd) ?? "";
      const file = files.get(id);
      // Duplicates of one open file show the same locks.
      if (!file || seen.has(id)) return [];
      seen.add(id);
      const locks = parseLocks(parseFdInfo(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8")));
      return locks.filter(({ type }) => type === "POSIX").map((lock) => ({ fd, ...toRange(file, lock) }));
    });
  },
  thaw(process, locks) {
    // Late: until then descriptors of the same files may be opened and closed in the process.
    process.context.atResume(() => {
      for (const lock of locks) {
        const at = process.scope.put(encodeRange(lock));
        checkTaken("fcntl", process.scope.attempt("fcntl", lock.fd, F.F_SETLK, at), lock, process.pid);
      }
    });
  },
};

/** Whether /proc/locks names the process at all: asking for every descriptor is long for those with many. */
function anyPosixLock(pid: FreezeProcess["pid"]): boolean {
  return new RegExp(String.raw`\bPOSIX +\S+ +\S+ +${pid} `).test(readFileSync("/proc/locks", "utf8"));
}
