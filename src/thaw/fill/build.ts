/** Filling one blank process: memory, descriptors, everything that belongs to the process, and its threads. */
import { CLONE } from "../../abi/clone.ts";
import { unhex } from "../../lib/hex.ts";
import { finishMappings, isPoked, thawMappings } from "../../resources/memory/restore.ts";
import { allocateKeys } from "../../resources/memory/protection-keys.ts";
import { thawVdso } from "../../resources/memory/vdso.x86_64.ts";
import { processResources } from "../../resources/registry.ts";
import type { NamespaceHandle } from "../../resources/namespace/handle.ts";
import { moveThreads } from "../../resources/cgroup/membership.ts";
import { thawUnshared } from "../../resources/thread/unshared.ts";
import { setIds } from "../../resources/security/credentials.ts";
import { thawCommonFilters } from "../../resources/security/seccomp.ts";
import { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { expectOthersBeside } from "../../tracee/stops.ts";
import { idsForClone } from "../tree/pid-namespaces.ts";
import { cloneWithIds } from "../tree/set-tid.ts";
import type { BuiltProcess } from "./process.ts";
import { readContents } from "./read-contents.ts";
import type { ThawedUserNamespaces } from "../tree/user-namespaces.ts";
import { findFreeSpace } from "./address-space.ts";
import type { Tree } from "../tree/tree.ts";
import { encoded } from "../verify/consistency.ts";

/** All memory of the process: mappings, their contents, the vDSO, and what /proc tells of them. */
export function buildMemory(
  process: BuiltProcess,
  { vdso, cowSharing }: Pick<Tree, "vdso" | "cowSharing">,
  onBytes: (bytes: number) => void,
): void {
  const { mappings } = process.body;
  const parked = { start: Math.min(...vdso.parts.map((p) => p.start)), end: Math.max(...vdso.parts.map((p) => p.end)) };
  const kept = cowSharing.settle(process);
  allocateKeys(process);
  thawMappings(process, mappings, kept);
  const contents = mappings.map((mapping) => ({
    start: mapping.start,
    pages: kept.get(mapping)?.missing ?? mapping.pages,
    poked: isPoked(mapping),
  }));
  readContents(process, process.pid, contents, onBytes);
  finishMappings(process);
  const taken = [
    ...mappings.map((m) => ({ start: unhex(m.start), end: unhex(m.end), growsDown: m.growsDown === true })),
    ...process.body.vdso.parts.map((part) => ({ start: unhex(part.start), end: unhex(part.end) })),
    process.scope.callArea,
    ...(vdso.parts.length > 0 ? [parked] : []),
  ];
  thawVdso(process, process.body.vdso, vdso, (size) => findFreeSpace(taken, size));
}

/** Threads besides the main one, with their ids; all share what threads of a process share. */
export function buildThreads(process: BuiltProcess, userNamespaces: ThawedUserNamespaces): Map<number, BuildScope> {
  const scopes = new Map<number, BuildScope>([[process.pid, process.scope]]);
  const states = process.body.threads;
  process.filtersInCommon = thawCommonFilters(
    process.scope,
    states.map(({ seccomp }) => seccomp),
  );
  const flags = CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD | CLONE.SYSVSEM;
  for (const { tid, tidsInNamespaces: tidsInside, unshared } of process.body.threads) {
    if (tid === process.pid) continue;
    expectOthersBeside(process.pid);
    cloneWithIds(process.scope, userNamespaces, {
      args: { flags, exitSignal: 0 },
      ids: idsForClone(tid, tidsInside),
      inside: process.state.pidNamespace,
      about: `Making thread ${tid} of process ${process.pid}`,
    });
    const scope = new BuildScope(process.pid, tid, process.scope.memory, process.scope.callArea);
    scope.user = process.scope.user;
    Object.assign(scope.entered, process.scope.entered);
    if (unshared) thawUnshared(process, scope, unshared);
    scopes.set(tid, scope);
  }
  moveThreads(process.context, process.pid, process.body.resources.cgroups);
  return scopes;
}

/** What belongs to the process as a whole. */
export function buildProcess(process: BuiltProcess): void {
  for (const resource of processResources) {
    if (resource.isPlace || (resource.of && process.isBorrowed(resource.of))) continue;
    thawResource(process, resource);
  }
}

function thawResource(process: BuiltProcess, resource: (typeof processResources)[number]): void {
  encoded(resource.name, () => resource.thaw(process, process.body.resources[resource.name]));
}

/** The last step of a process before it gets threads: setns(2) takes none of several into a user namespace. */
export function enterUserNamespace(process: BuiltProcess): void {
  const { user, scope, context } = process;
  if (user === undefined || user === scope.user) return;
  const [first] = process.body.threads;
  if (!first) return;
  const { fd } = context.object<NamespaceHandle>(user);
  process.lend(fd, (lent) => {
    // Ids that have no name inside can only be taken before.
    setIds({ process, tid: process.pid, scope }, first.credentials);
    scope.call("setns", "Entering a user namespace", lent, CLONE.NEWUSER);
  });
  scope.user = user;
}

/** What must be before files are opened, and before others are cloned who share a working directory with it. */
export function beginProcess(process: BuiltProcess): void {
  if (process.begun) return;
  process.begun = true;
  for (const resource of processResources) if (resource.isPlace) thawResource(process, resource);
  // What stands in a namespace is made when files are opened, long before a thread can enter it.
  for (const { unshared } of process.body.threads)
    for (const id of Object.values(unshared?.namespaces ?? {})) process.context.object(id);
}
