/**
 * Namespaces (namespaces(7)): a process that lives in others than kmonte would come back outside of them, so it is
 * refused. The time namespace is no matter of place: thawing makes one anyway.
 */
import { readlinkSync } from "node:fs";
import * as v from "valibot";
import { Refusal } from "../../lib/errors.ts";
import type { ProcessResource } from "../contract.ts";

const NAMESPACES = ["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "user", "uts"];

export const namespaces: ProcessResource<undefined> = {
  name: "namespaces",
  schema: v.optional(v.undefined()),
  freeze({ pid, command, context }) {
    for (const name of NAMESPACES) {
      const theirs = placeOf(pid, name);
      // A kernel without this kind has nothing to compare.
      if (theirs === undefined || theirs === placeOf("self", name)) continue;
      context.refuse(
        new Refusal(
          "FOREIGN_NAMESPACE",
          {
            what: `Process ${pid} (${command}) lives in a namespace of its own.`,
            why: `/proc/${pid}/ns/${name} is ${theirs}; that of kmonte is ${placeOf("self", name)}.`,
            remedy: "Run kmonte inside the namespace (nsenter(1)), or leave this process out.",
          },
          { pid, command, resource: "namespace", path: `/proc/${pid}/ns/${name}` },
        ),
      );
    }
    return undefined;
  },
  thaw() {
    // There is nothing to bring back: it is born where kmonte is.
  },
};

function placeOf(pid: number | "self", name: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch {
    return undefined;
  }
}
