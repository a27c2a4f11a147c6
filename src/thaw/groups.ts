/** Process groups (setpgid(2)), once all processes stand. */
import { existsSync } from "node:fs";
import { WAIT } from "../abi/wait.ts";
import type { FrozenProcess } from "../image/schema.ts";
import type { BuildScope } from "../tracee/build-scope.x86_64.ts";
import { joinGroup, visible } from "./births.ts";
import { endProcess, standInFor, type Nursery } from "./nursery.ts";
import type { BuiltProcess } from "./process.ts";

/** Leaders of groups first, then the others; a group whose leader has ended gets a stand-in for the moment. */
export function setGroups(nursery: Nursery, states: readonly FrozenProcess[]): void {
  const all = [...nursery.built.values()].map((process) => process.state);
  const scopeOf = (state: FrozenProcess): BuildScope => (nursery.built.get(state.pid) as BuiltProcess).scope;
  for (const state of all) {
    if (state.pgid === state.pid && state.sid !== state.pid)
      scopeOf(state).call("setpgid", `Making group ${state.pgid}`, 0, 0);
  }
  for (const state of all) {
    if (state.pgid === state.pid) continue;
    const scope = scopeOf(state);
    const { parent } = nursery.built.get(state.pid) as BuiltProcess;
    const group = state.inside?.pgids.at(-1) ?? state.pgid;
    if (joinGroup(scope, group, parent?.scope ?? nursery.root, (id) => parent?.seen(id) ?? id, state)) continue;
    if (existsSync(`/proc/${state.pgid}`)) {
      nursery.notes.push(
        `Process ${state.pid} (${state.command}) leads a group of its own now: ${state.pgid} is in another session.`,
      );
      scope.attempt("setpgid", 0, 0);
      continue;
    }
    const leader = standInFor(nursery, scope, state.pgid, state, visible(state.inside?.pgids), 0);
    leader.call("setpgid", `Making group ${state.pgid}`, 0, 0);
    for (const member of states) {
      if (member.pgid === state.pgid) scopeOf(member).attempt("setpgid", 0, member.inside?.pgids.at(-1) ?? member.pgid);
    }
    endProcess(leader.pid);
    scope.attempt("wait4", group, 0, WAIT.WALL, 0);
  }
}
