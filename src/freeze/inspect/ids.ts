/** Ids of tasks as they see them themselves, where that is not as we do (pid_namespaces(7), proc_pid_status(5)). */
import { usersOf } from "../../proc/id-users.ts";
import { readFileSync } from "../../sys/files.ts";
import { namespaceOf } from "../../sys/namespaces.ts";
import type { Task } from "../../lib/brand.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { parseStatus } from "../../proc/status.ts";
import type { FreezeContext, FreezeProcess } from "../../resources/freeze-context.ts";
import { pidNamespaceOwners } from "../../resources/namespace/user.ts";

type Asked = Pick<FreezeProcess, "pid" | "task">;
type Inside = NonNullable<FrozenProcess["pidNamespace"]>;

/** One id per pid namespace below ours, outermost first: the last is what the task itself sees. */
export function idsBelow(
  status: ReadonlyMap<string, string>,
  field: "NSpid" | "NSpgid" | "NSsid" | "NStgid",
): number[] {
  const ids = (status.get(field) ?? "").split(/\s+/);
  if (ids.length === 1) return [];
  const own = parseStatus(readFileSync("/proc/self/status", "utf8"));
  const level = own.get("NSpid")?.split(/\s+/).length ?? 1;
  return ids.slice(level).map(Number);
}

/** Undefined for a process of our own pid namespace. */
export function pidNamespaceOf({ pid, task }: Asked, context?: FreezeContext): Inside | undefined {
  const status = parseStatus(readFileSync(`/proc/${pid}/status`, "utf8"));
  const pids = idsBelow(status, "NSpid");
  if (pids.length === 0) return undefined;
  const owners = context ? pidNamespaceOwners(context, task) : [];
  return {
    namespace: namespaceOf(task, "pid") ?? "",
    pids,
    pgids: idsBelow(status, "NSpgid"),
    sids: idsBelow(status, "NSsid"),
    ...(owners.some((owner) => owner !== "") && { owners }),
  };
}

/** The pid namespace that children are cloned into, when it is not the process's own (unshare(2), setns(2)). */
export function childrenNamespace(task: Task): string | undefined {
  const own = namespaceOf(task, "pid");
  const children = namespaceOf(task, "pid_for_children");
  // The link leads nowhere as long as no process has been cloned there.
  return children === own ? undefined : (children ?? "pid:new");
}

/** Every pid namespace of the set must begin with a process of the set, its init. */
export function refuseHeadless(processes: readonly FrozenProcess[], refuse: (refusal: Refusal) => void): void {
  const begun = new Set(
    processes
      .filter(({ pidNamespace: inside }) => inside?.pids.at(-1) === 1)
      .map(({ pidNamespace: inside }) => inside?.namespace),
  );
  for (const { pid, command, pidNamespace: inside, pidNamespaceForChildren: forChildren } of processes) {
    const missing = [inside?.namespace, forChildren].find(
      (namespace) =>
        namespace !== undefined &&
        namespace !== "pid:new" &&
        !begun.has(namespace) &&
        namespace !== namespaceOf("self", "pid"),
    );
    if (missing === undefined) continue;
    refuse(failures.PID_NAMESPACE_INIT({ pid, command, missing }));
  }
}

/** Groups and sessions that go by the id of somebody frozen live on with those of their members who stay. */
export function idsInUse(processes: readonly FrozenProcess[]): string[] {
  const living = [...usersOf(new Set(processes.map(({ pid }) => pid)))].filter(([, { ended }]) => !ended);
  return living.map(([id, { what }]) => `${what} keeps the id ${id} in use: a thaw here needs its end first.`);
}
