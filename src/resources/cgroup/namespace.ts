/** Cgroup namespaces (cgroup_namespaces(7)): in each hierarchy, the group that its inhabitants see as the root. */
import { procPath } from "../../sys/task.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { nameOfNamespace, namespaceOf, within } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { parseCgroups } from "../../proc/cgroup.ts";
import { failures } from "../../errors/catalogue.ts";
import type { ObjectKind } from "../contract.ts";
import { move } from "./membership.ts";
import { ownerSchema, type Holder, type NamespaceHandle } from "../namespace/handle.ts";

const schema = v.strictObject({
  kind: v.literal("cgroup-namespace"),
  owner: ownerSchema,
  /** As kmonte sees them, by the controllers of the hierarchy; "" for version 2. */
  roots: v.record(v.string(), v.string()),
});
type CgroupNamespaceState = v.InferOutput<typeof schema>;

/** The file shows paths from the root of whoever reads it: what the process sees is the end of what we see. */
export function freezeCgroupNamespace(namespace: LocalFd, { pid, task, command }: Holder): CgroupNamespaceState {
  const name = nameOfNamespace(namespace);
  if (namespaceOf(task, "cgroup") !== name) throw failures.NAMESPACE_FILE.cgroup({ pid, command, name });
  const ours = parseCgroups(readFileSync(procPath(task, "cgroup"), "utf8"));
  const theirs = within("cgroup", namespace, () => parseCgroups(readFileSync(procPath(task, "cgroup"), "utf8")));
  const roots: Record<string, string> = {};
  for (const [hierarchy, path] of Object.entries(ours)) roots[hierarchy] = rootOf(path, theirs[hierarchy] ?? "/");
  return { kind: "cgroup-namespace", roots };
}

/** `/..` is the parent of the root. */
function rootOf(path: string, seen: string): string {
  if (seen === "/") return path;
  const up = /^(\/\.\.)+/.exec(seen)?.[0];
  // Somewhere else than below the root: which way down it would be, nothing tells.
  if (up !== undefined) return path;
  return path.endsWith(seen) ? path.slice(0, -seen.length) || "/" : path;
}

export const cgroupNamespace: ObjectKind<CgroupNamespaceState, NamespaceHandle, "cgroup-namespace"> = {
  name: "cgroup-namespace",
  hasPath: false,
  schema,
  thaw(state, context) {
    if (state.owner !== undefined) context.object(state.owner);
    const fd = context.userNamespaces.owned(state.owner, "cgroup", (pid) => {
      move(context, pid, state.roots, "cgroup.procs", `${pid}, which makes a cgroup namespace`);
    });
    return { fd };
  },
};
