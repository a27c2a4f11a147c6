/** The control groups that a process and its threads are in (cgroups(7)), where kmonte is not in them too. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { failures } from "../../errors/catalogue.ts";
import { parseCgroups, type CgroupPaths } from "../../proc/cgroup.ts";
import type { ProcessResource, ThawContext } from "../contract.ts";
import { CGROUP_TREE, cgroupsOf, freezeCgroupTree, type CgroupTreeHandle } from "./tree.ts";
import { ofAnyUser } from "../ordinary-user.ts";

/** The path in each hierarchy, by its controllers; "" for version 2. */
const paths = v.record(v.string(), v.string());

const schema = v.strictObject({
  paths,
  /** Threads that are in others than the first one, by their ids: those that differ. */
  threads: v.optional(v.record(v.string(), paths)),
});

export const cgroups: ProcessResource<v.InferOutput<typeof schema>, "cgroups"> = {
  name: "cgroups",
  isPlace: true,
  schema,
  forUser: ofAnyUser,
  freeze({ pid, context }) {
    const common = cgroupsOf(context, pid, pid);
    const threads: Record<string, CgroupPaths> = {};
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      const others = Object.entries(cgroupsOf(context, pid, Number(tid))).filter(
        ([hierarchy, path]) => common[hierarchy] !== path,
      );
      if (others.length > 0) threads[tid] = Object.fromEntries(others);
    }
    freezeCgroupTree(context);
    return { paths: common, ...(Object.keys(threads).length > 0 && { threads }) };
  },
  thaw({ pid, context, command }, state) {
    move(context, pid, state.paths, "cgroup.procs", `${pid} (${command})`);
  },
};

/** When the threads have been made, which are cloned where the first one is. */
export function moveThreads(context: ThawContext, pid: number, state: v.InferOutput<typeof schema> | undefined): void {
  for (const [tid, others] of Object.entries(state?.threads ?? {})) {
    for (const [hierarchy, path] of Object.entries(others)) {
      const file = hierarchy === "" ? "cgroup.threads" : "tasks";
      move(context, Number(tid), { [hierarchy]: path }, file, `${pid}, thread ${tid}`);
    }
  }
}

/** Puts a task into groups. */
export function move(
  context: ThawContext,
  tid: number,
  wanted: Readonly<CgroupPaths>,
  file: string,
  who: string,
): void {
  const tree = context.object<CgroupTreeHandle>(CGROUP_TREE);
  const now = parseCgroups(readFileSync(`/proc/${tid}/cgroup`, "utf8"));
  for (const [hierarchy, path] of Object.entries(wanted)) {
    // Where everybody is who is nowhere else: in a hierarchy that is gone, too.
    if ((now[hierarchy] ?? "/") === path) continue;
    const folder = tree.folder(hierarchy, path);
    if (folder === undefined) {
      context.note(
        `Process ${who} is not in the control group ${path} of ${hierarchy || "version 2"} any more: it is not here.`,
      );
      continue;
    }
    try {
      writeFileSync(join(folder, file), String(tid));
    } catch (cause) {
      throw failures.CGROUP({ who, path: join(folder, file), errno: (cause as NodeJS.ErrnoException).code, cause });
    }
  }
}
