/**
 * The namespaces that a process lives in (namespaces(7)), where they are not those of kmonte: what belongs to the
 * frozen set alone is made again, and the process enters it before anything else happens in it. Which pid namespace a
 * process is in follows from its ids; its time namespace belongs to the clocks of the set.
 */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { NAMESPACE } from "../../abi/namespaces.ts";
import { nameOfNamespace, namespaceOf, openNamespace } from "../../sys/namespaces.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import type { ProcessResource } from "../contract.ts";
import type { NamespaceHandle } from "./handle.ts";
import { CARRIED, namespaceObject, outsiderIn, sharedWith, type Carried } from "./own.ts";
import { userObject } from "./user.ts";

/** Ids of objects. */
export const namespacesSchema = v.strictObject({
  uts: v.optional(v.string()),
  ipc: v.optional(v.string()),
  net: v.optional(v.string()),
  cgroup: v.optional(v.string()),
  mnt: v.optional(v.string()),
  /** Entered last, right before there are threads: what is kmonte's is out of reach from there. */
  user: v.optional(v.string()),
});
export type NamespacesState = v.InferOutput<typeof namespacesSchema>;

export const namespaces: ProcessResource<NamespacesState, "namespaces"> = {
  name: "namespaces",
  isPlace: true,
  schema: namespacesSchema,
  *forUser(state) {
    if (Object.values(state).some((id) => id !== undefined)) yield "It lives in namespaces of its own.";
  },
  freeze(process) {
    const state = freezeNamespaces(process);
    if (isOwn(process.task, "user")) state.user = freezeUser(process);
    return state;
  },
  thaw: (process, state) => enterNamespaces(process, state),
};

/** Those that a thread can change by itself, of a process or of one of its threads. */
export function freezeNamespaces(process: FreezeProcess): NamespacesState {
  const state: NamespacesState = {};
  for (const type of CARRIED) {
    if (!isOwn(process.task, type)) continue;
    const namespace = openNamespace(process.task, type);
    try {
      state[type] = namespaceObject(process, type, namespace);
    } finally {
      closeSync(namespace);
    }
  }
  return state;
}

/** Enters those that the process is not in yet, if `now` lets it. */
export function enterNamespaces(
  process: ThawProcess,
  state: NamespacesState,
  now: (id: string) => boolean = () => true,
): void {
  const { entered } = process.scope;
  for (const type of CARRIED) {
    const id = state[type];
    // Whoever shares its working directory with others could not go (setns(2)): it was cloned where they are.
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

/** Back to the machine's, from where its parent has gone before it was cloned. */
function goHome(process: ThawProcess, type: Carried): void {
  const home = openNamespace("self", type);
  try {
    enter(process, type, home);
  } finally {
    closeSync(home);
  }
}

function freezeUser(process: FreezeProcess): string | undefined {
  const namespace = openNamespace(process.task, "user");
  try {
    const name = nameOfNamespace(namespace);
    const sharer = outsiderIn(process, "user", name);
    if (sharer !== undefined) process.context.refuse(sharedWith(process, "user", name, sharer));
    return userObject(process.context, namespace);
  } finally {
    closeSync(namespace);
  }
}

/** Whether it differs from ours; a kernel without this kind has nothing to compare. */
function isOwn(task: Task, type: string): boolean {
  const theirs = namespaceOf(task, type);
  return theirs !== undefined && theirs !== namespaceOf("self", type);
}
