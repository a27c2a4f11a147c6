/**
 * The namespaces that a process lives in (namespaces(7)), where they are not those of kmonte: what belongs to the
 * frozen set alone is made again, and the process enters it before anything else happens in it. Which pid namespace a
 * process is in follows from its ids; the time namespace is no matter of place, thawing makes one anyway.
 */
import { closeSync, readdirSync } from "node:fs";
import * as v from "valibot";
import { NAMESPACE, namespaceOf, openNamespace } from "../../abi/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { Refusal } from "../../lib/errors.ts";
import { readStat } from "../../proc/read.ts";
import type { FreezeProcess, ObjectState, ProcessResource, ThawProcess } from "../contract.ts";
import type { NamespaceHandle } from "../namespaces/handle.ts";
import { freezeCgroupNamespace } from "../namespaces/cgroup.ts";
import { freezeIpc } from "../namespaces/ipc.ts";
import { freezeMounts } from "../namespaces/mount.ts";
import { freezeNet } from "../namespaces/net.ts";
import { ownerObject, userObject } from "../namespaces/user.ts";
import { freezeUts } from "../namespaces/uts.ts";

/** Ids of objects. */
const schema = v.strictObject({
  uts: v.optional(v.string()),
  ipc: v.optional(v.string()),
  net: v.optional(v.string()),
  cgroup: v.optional(v.string()),
  mnt: v.optional(v.string()),
  /** Entered last, right before there are threads: what is kmonte's is out of reach from there. */
  user: v.optional(v.string()),
});
export type NamespacesState = v.InferOutput<typeof schema>;

type Carried = Exclude<keyof NamespacesState, "user">;

const FREEZE: Record<Carried, (namespace: LocalFd, process: FreezeProcess) => ObjectState> = {
  uts: (namespace) => freezeUts(namespace),
  ipc: (namespace, process) => freezeIpc(namespace, process),
  net: (namespace, process) => freezeNet(namespace, process),
  cgroup: freezeCgroupNamespace,
  mnt: (namespace, process) => freezeMounts(namespace, process),
};
/** The namespaces that a mount shows come before it. */
const CARRIED = Object.keys(FREEZE) as Carried[];

export const namespaces: ProcessResource<NamespacesState> = {
  name: "namespaces",
  schema,
  freeze(process) {
    const { pid, context } = process;
    refuseSeparateThreads(process);
    const state: NamespacesState = {};
    for (const type of CARRIED) {
      if (!isOwn(pid, type)) continue;
      state[type] = context.object(namespaceOf(pid, type) as string, () => {
        const sharer = outsiderIn(process, type);
        if (sharer !== undefined) context.refuse(sharedWith(process, type, sharer));
        const namespace = openNamespace(pid, type);
        try {
          const owner = ownerObject(context, namespace);
          return { ...FREEZE[type](namespace, process), ...(owner !== undefined && { owner }) };
        } finally {
          closeSync(namespace);
        }
      });
    }
    if (isOwn(pid, "user")) state.user = freezeUser(process);
    return state;
  },
  thaw: (process, state) => enterNamespaces(process, state),
};

/** Enters those that the process is not in yet, if `now` lets it. */
export function enterNamespaces(
  process: ThawProcess,
  state: NamespacesState,
  now: (id: string) => boolean = () => true,
): void {
  const { entered } = process.scope;
  for (const type of CARRIED) {
    const id = state[type];
    // Whoever shares its working directory with others could not go (setns(2)): it was born where they are.
    if (id === entered[type] || (id !== undefined && !now(id))) continue;
    if (id === undefined) {
      goHome(process, type);
      delete entered[type];
    } else {
      enter(process, type, process.context.object<NamespaceHandle>(id).fd);
      entered[type] = id;
    }
  }
}

function enter(process: ThawProcess, type: Carried, namespace: LocalFd): void {
  const about = `Entering the ${type} namespace`;
  process.lend(namespace, (lent) => process.scope.call("setns", about, lent, NAMESPACE[type]));
}

/** Back to the machine's, from where its parent has gone before it was born. */
function goHome(process: ThawProcess, type: Carried): void {
  const home = openNamespace(globalThis.process.pid, type);
  try {
    enter(process, type, home);
  } finally {
    closeSync(home);
  }
}

function freezeUser(process: FreezeProcess): string | undefined {
  const sharer = outsiderIn(process, "user");
  if (sharer !== undefined) process.context.refuse(sharedWith(process, "user", sharer));
  const namespace = openNamespace(process.pid, "user");
  try {
    return userObject(process.context, namespace);
  } finally {
    closeSync(namespace);
  }
}

/** Whether it differs from ours; a kernel without this kind has nothing to compare. */
function isOwn(pid: number, type: string): boolean {
  const theirs = namespaceOf(pid, type);
  return theirs !== undefined && theirs !== namespaceOf("self", type);
}

/**
 * A process outside the set that lives in the namespace too: it would stay behind in the old one. Whoever started a
 * container, as unshare(1) does, and waits for its init may: it has no business inside.
 */
function outsiderIn({ pid, context }: FreezeProcess, type: string): number | undefined {
  const wanted = namespaceOf(pid, type);
  const waiting = new Set(
    [...context.pids].filter((member) => leadsContainer(member, context)).flatMap((init) => ancestorsOf(init)),
  );
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((other) => !context.pids.has(other) && !waiting.has(other) && namespaceOf(other, type) === wanted);
}

/** The init of a pid namespace, whose parent is left out. */
function leadsContainer(pid: number, { pids }: FreezeProcess["context"]): boolean {
  const parent = readStat(pid)?.ppid ?? 0;
  return !pids.has(parent) && namespaceOf(pid, "pid") !== namespaceOf(parent, "pid");
}

function ancestorsOf(pid: number): number[] {
  const parent = readStat(pid)?.ppid ?? 0;
  return parent === 0 ? [] : [parent, ...ancestorsOf(parent)];
}

/**
 * Namespaces that one thread of several can change by itself. The others take a process of one thread, and a mount
 * namespace a file system context of its own, which is refused as such.
 */
const BY_THREAD = ["uts", "ipc", "net", "cgroup"] as const;

/** Threads may have gone elsewhere by themselves (setns(2), unshare(2)). */
function refuseSeparateThreads(process: FreezeProcess): void {
  const { pid, command, context } = process;
  const common = new Map(BY_THREAD.map((type) => [type, namespaceOf(pid, type)]));
  for (const tid of readdirSync(`/proc/${pid}/task`).map(Number)) {
    if (tid === pid) continue;
    const other = BY_THREAD.find((type) => {
      const own = namespaceOf(tid, type);
      return own !== undefined && own !== common.get(type);
    });
    if (other === undefined) continue;
    context.refuse(
      new Refusal(
        "THREAD_NAMESPACE",
        {
          what: `Process ${pid} (${command}) has a thread in another namespace than the others.`,
          why: `Thread ${tid} has its own ${other} namespace (unshare(2), setns(2)).`,
          remedy: "Leave this process out.",
        },
        { pid, tid, command, resource: "namespace" },
      ),
    );
  }
}

function sharedWith({ pid, command }: FreezeProcess, type: string, other: number): Refusal {
  return new Refusal(
    "NAMESPACE_SHARED",
    {
      what: `Process ${pid} (${command}) shares its ${type} namespace with a process that is not frozen with it.`,
      why: `Process ${other} lives in ${namespaceOf(pid, type)} too.`,
      remedy: `Freeze process ${other} together with it, or run kmonte inside the namespace (nsenter(1)).`,
    },
    { pid, command, resource: "namespace", path: `/proc/${pid}/ns/${type}` },
  );
}
