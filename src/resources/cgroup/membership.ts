/** The control groups that a process and its threads are in (cgroups(7)), where kmonte is not in them too. */
import { livingThread, procPath } from "../../sys/task.ts";
import { join } from "node:path";
import * as v from "valibot";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { readFileSync, writeFileSync } from "../../sys/files.ts";
import { failures } from "../../errors/catalogue.ts";
import { parseCgroups, type CgroupPaths } from "../../proc/cgroup.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import { CGROUP_TREE, cgroupsOf, threadsOf, freezeCgroupTree, type CgroupTreeHandle } from "./tree.ts";
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
  freeze({ pid, task, context }) {
    const common = cgroupsOf(context, task);
    const threads: Record<string, CgroupPaths> = {};
    for (const tid of threadsOf(pid, task)) {
      const others = Object.entries(cgroupsOf(context, tid)).filter(([hierarchy, path]) => common[hierarchy] !== path);
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
  const now = parseCgroups(readFileSync(procPath(livingThread(tid), "cgroup"), "utf8"));
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
      writeFileSync(OWN_VIEW.at(join(folder, file)), String(tid));
    } catch (cause) {
      throw failures.CGROUP({ who, path: join(folder, file), errno: (cause as NodeJS.ErrnoException).code, cause });
    }
  }
}
