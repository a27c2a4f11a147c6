/**
 * What stands by now where the files and folders of the processes stood: the very same, or what all processes that had
 * it may open with their own rights (`resources/file/reopen.ts`). Asked before anything is made.
 */
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { type Rights, isForUser } from "../../sys/identity.ts";
import type { Refusal } from "../../errors/failure.ts";
import { filesOf } from "../../image/kinds.ts";
import { pathsIn, pathsOfPart, pathsOfProcess } from "../../image/user/reach.ts";
import type { FrozenState } from "../../image/schema.ts";
import type { WantedPath } from "../../resources/contract.ts";
import { checkReopen, type Opener } from "../../resources/file/reopen.ts";
import { checkFolder } from "../../resources/file/create-in-directory.ts";
import { Holders } from "./holders.ts";

/** A refusal for each path where something stands that the processes may not have. */
export function checkReplaced(state: FrozenState): Refusal[] {
  // For a user, all is opened with this user's rights.
  if (isForUser()) return [];
  const holders = new Holders(state);
  const view = pathsIn(state);
  const problems = new Map<string, Refusal>();
  const known = new Set<string>();
  const check = (wants: Iterable<WantedPath>, rights: readonly Rights[]): void => {
    const opener: Opener = { holders: rights, isMadeHere: () => false, mounts: OWN_VIEW, note: () => undefined };
    for (const want of wants) {
      // A library is mapped many times.
      const key = JSON.stringify([want, rights.map((one) => ({ ...one, capabilities: String(one.capabilities) }))]);
      if (known.has(key)) continue;
      known.add(key);
      const problem =
        "folder" in want
          ? checkFolder(opener, { path: want.folder, identity: want.identity })
          : checkReopen(opener, want, want.flags);
      if (problem) problems.set(problem.message, problem);
    }
  };
  // What is in a mount namespace of the set's own cannot be seen before that is made.
  const files = Object.keys(state.files);
  for (const [i, part] of [...filesOf(state)].entries()) {
    const id = files[i] as string;
    if (state.files[id]?.mnt === undefined) check(pathsOfPart(part, view), holders.ofFile(id));
  }
  for (const process of state.processes) {
    const { mnt } = process.body?.resources.namespaces ?? {};
    if (mnt === undefined) check(pathsOfProcess(process, view), holders.ofProcess(process.pid));
  }
  return [...problems.values()];
}
