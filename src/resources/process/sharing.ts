/**
 * What two processes share though they are not threads of one (clone(2) with CLONE_VM, CLONE_FILES or CLONE_FS, or a
 * vfork(2) in progress): refused, because each would come back with a copy of its own.
 */
import * as v from "valibot";
import { attempt } from "../../abi/call.ts";
import { KCMP } from "../../abi/fcntl.ts";
import { Refusal } from "../../lib/errors.ts";
import { childrenOf, readStat } from "../../proc/read.ts";
import type { ProcessResource } from "../contract.ts";

const SHARED = [
  ["memory", KCMP.VM],
  ["open files", KCMP.FILES],
  ["file system context", KCMP.FS],
] as const;

export const sharing: ProcessResource<undefined> = {
  name: "sharing",
  schema: v.optional(v.undefined()),
  freeze({ pid, command, stat, context }) {
    // Sharing begins at birth: relatives are where to look.
    const siblings = childrenOf(stat.ppid).filter((sibling) => sibling > pid || !context.pids.has(sibling));
    for (const other of [stat.ppid, ...siblings]) {
      for (const [what, type] of SHARED) {
        if (other === pid || attempt("kcmp", pid, other, type, 0, 0) !== 0) continue;
        context.refuse(
          new Refusal(
            "SHARED_WITH_PROCESS",
            {
              what: `Process ${pid} (${command}) shares its ${what} with another process.`,
              why: `Process ${other} (${readStat(other)?.comm ?? "?"}) has the very same (clone(2), vfork(2)).`,
              remedy: "Wait until one of them has started another program or ended; else leave both out.",
            },
            { pid, command, resource: "process" },
          ),
        );
      }
    }
    return undefined;
  },
  thaw() {
    // Refused where there is something.
  },
};
