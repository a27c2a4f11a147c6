/**
 * A thread that has gone its own way (unshare(2), setns(2)): with a working directory, root and umask of its own, or in
 * other namespaces than the first thread.
 */
import type { Task } from "../../lib/brand.ts";
import { compareTasks } from "../../sys/task.ts";
import { Memo } from "../memo.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { CLONE } from "../../abi/clone.ts";
import { KCMP } from "../../abi/fcntl.ts";
import { nameOfNamespace, namespaceOf, openNamespace, ownerOf } from "../../sys/namespaces.ts";
import { failures } from "../../errors/catalogue.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { FreezeThread } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import { filesystemContext, freezeFilesystem } from "../process/filesystem-context.ts";
import { CARRIED } from "../namespace/own.ts";
import { enterNamespaces, freezeNamespaces, namespacesSchema } from "../namespace/membership.ts";

export const unsharedSchema = v.strictObject({
  filesystem: v.optional(filesystemContext.schema),
  /** All that it lives in, when one of them is not the first thread's. */
  namespaces: v.optional(namespacesSchema),
});
export type Unshared = v.InferOutput<typeof unsharedSchema>;

/** Whether its working directory is its own; only then its mount namespace can be. */
export function hasOwnDirectory(main: Task, tid: Task): boolean {
  return tid !== main && compareTasks(main, tid, KCMP.FS) > 0;
}

/** To be called where the thread's paths lead (`freeze/inspect/mount-views.ts`). */
export function freezeUnshared(thread: FreezeThread, before: readonly Task[]): Unshared | undefined {
  const { task: tid, process, status } = thread;
  const { task: main, context } = process;
  if (tid === main) return undefined;
  if (compareTasks(main, tid, KCMP.FILES) > 0)
    context.refuse(failures.UNSHARED_THREAD({ process, tid, has: "its own open files" }));
  for (const type of ["pid_for_children", "time_for_children"])
    if (namespaceOf(tid, type) !== namespaceOfMain(process, type))
      context.refuse(
        failures.THREAD_NAMESPACE({ process, tid, has: `another ${type.split("_")[0]} namespace for its children` }),
      );
  const own = hasOwnDirectory(main, tid);
  const twin = own && before.find((other) => compareTasks(other, tid, KCMP.FS) === 0);
  if (twin)
    context.refuse(
      failures.UNSHARED_THREAD({ process, tid, has: `a working directory in common with thread ${twin} alone` }),
    );
  const others = CARRIED.filter((type) => namespaceOf(tid, type) !== namespaceOfMain(process, type));
  const elsewhere = others.length > 0;
  if (!own && !elsewhere) return undefined;
  // Threads come to be when their process has gone where nothing of ours can be entered.
  if (namespaceOf(tid, "user") !== namespaceOf("self", "user") && others.some((type) => !isOwned(tid, type)))
    context.refuse(failures.THREAD_NAMESPACE({ process, tid, has: "a namespace that is not of its user namespace" }));
  const itself = { ...process, pid: tid, task: tid, status };
  return {
    ...(own && { filesystem: freezeFilesystem(itself) }),
    ...(elsewhere && { namespaces: freezeNamespaces(itself) }),
  };
}

const namespacesOfMain = new Memo(() => new Map<string, string | undefined>());

/** Asked once for all threads: while it stands still, it stays where it is. */
function namespaceOfMain({ context, task: main }: FreezeThread["process"], type: string): string | undefined {
  const known = context.memo(namespacesOfMain);
  const key = `${main} ${type}`;
  if (!known.has(key)) known.set(key, namespaceOf(main, type));
  return known.get(key);
}

/** Whether a namespace that a task lives in belongs to its user namespace. */
function isOwned(tid: Task, type: (typeof CARRIED)[number]): boolean {
  const namespace = openNamespace(tid, type);
  try {
    const owner = ownerOf(namespace);
    if (owner === undefined) return false;
    try {
      return nameOfNamespace(owner) === namespaceOf(tid, "user");
    } finally {
      closeSync(owner);
    }
  } finally {
    closeSync(namespace);
  }
}

/** While the thread still has all rights and a way to us. */
export function thawUnshared(process: ThawProcess, scope: BuildScope, { filesystem, namespaces }: Unshared): void {
  const itself = Object.create(process, { scope: { value: scope } }) as ThawProcess;
  if (filesystem) scope.call("unshare", "Giving a thread a working directory of its own", CLONE.FS);
  if (namespaces) enterNamespaces(itself, namespaces);
  if (!filesystem) return;
  const context = process.context.in(scope.entered["mnt"]);
  filesystemContext.thaw(Object.create(itself, { context: { value: context } }) as ThawProcess, filesystem);
}
