/** Whether memory that is mapped later will be locked: mlockall(2) with MCL_FUTURE. */
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { procPath } from "../../sys/task.ts";
import { ERRNO } from "../../abi/errno.ts";
import { MAP, MCL, PAGE_SIZE } from "../../abi/mman.ts";
import { parseMaps } from "../../proc/maps.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({ lockFuture: v.picklist(["no", "now", "on-fault"]) });

export const mlockall: ProcessResource<v.InferOutput<typeof schema>, "mlockall"> = {
  name: "mlockall",
  of: "memory",
  schema,
  forUser: ofAnyUser,
  /** No call tells; a page that comes and goes at once does. Processes without locked memory are not asked. */
  freeze({ scope, mappings, task }) {
    if (!mappings.some((mapping) => mapping.flags.includes("lo"))) return { lockFuture: "no" };
    const page = scope.attempt("mmap", 0, PAGE_SIZE, 0, MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS | MAP.MAP_NORESERVE, -1, 0);
    // Over the limit of locked memory: only a mapping that would be locked meets it (mmap(2), EAGAIN).
    if (page === -ERRNO.EAGAIN) return { lockFuture: "now" };
    if (page < 0) return { lockFuture: "no" };
    try {
      const { flags = [] } =
        parseMaps(readFileSync(procPath(task, "smaps"), "utf8")).find(({ start }) => start === page) ?? {};
      return { lockFuture: flags.includes("lo") ? (flags.includes("lf") ? "on-fault" : "now") : "no" };
    } finally {
      scope.call("munmap", "Taking a page away", page, PAGE_SIZE);
    }
  },
  thaw({ scope }, { lockFuture }) {
    if (lockFuture === "no") return;
    const flags = MCL.MCL_FUTURE | (lockFuture === "on-fault" ? MCL.MCL_ONFAULT : 0);
    scope.call("mlockall", "Locking memory that is mapped later", flags);
  },
};
