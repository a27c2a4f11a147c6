/**
 * What a process shares with one that is not frozen with it, though they are not threads of one (clone(2) with
 * CLONE_VM, CLONE_FILES or CLONE_FS): refused, because it would come back with a copy of its own. What is shared
 * within the set is a matter of the clone plan (`image/clone-plan.ts`).
 */
import * as v from "valibot";
import { compareTasks } from "../../sys/task.ts";
import { KCMP } from "../../abi/fcntl.ts";
import { childrenOf, findTask, readStat } from "../../proc/read.ts";
import { failures } from "../../errors/catalogue.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const SHARED = [
  ["memory", KCMP.VM],
  ["open files", KCMP.FILES],
  ["file system context", KCMP.FS],
] as const;

export const sharing: ProcessResource<undefined, "sharing"> = {
  name: "sharing",
  schema: v.optional(v.undefined()),
  forUser: ofAnyUser,
  freeze({ pid, task, command, stat, context }) {
    // Sharing begins at clone(2): relatives are where to look.
    const relatives = [stat.ppid, ...childrenOf(stat.ppid)].filter((other) => !context.pids.has(other));
    for (const other of relatives) {
      const theirs = findTask(other);
      for (const [what, type] of SHARED) {
        if (compareTasks(task, theirs, type) !== 0) continue;
        context.refuse(
          failures.SHARED_WITH_PROCESS({ pid, command, what, other, otherCommand: readStat(other)?.comm ?? "?" }),
        );
      }
    }
    return undefined;
  },
  thaw() {
    // Refused where there is something.
  },
};
