/** Process groups (setpgid(2)), once all processes stand. */
import { existsSync } from "node:fs";
import { WAIT } from "../abi/wait.ts";
import type { FrozenProcess } from "../image/schema.ts";
import type { BuildScope } from "../tracee/build-scope.x86_64.ts";
import { joinGroup, visible } from "./births.ts";
import { endProcess, standInFor, type Nursery } from "./nursery.ts";
import type { BuiltProcess } from "./process.ts";

/**
 * Whoever a group is called after makes it, be it only for the moment: it may have gone to another group since, and
 * one that has ended gets a stand-in. Those who lead no group of their own join last.
 */
export function setGroups(nursery: Nursery, states: readonly FrozenProcess[]): void {
  const all = [...nursery.built.values()].map((process) => process.state);
  const groups = new Set(all.map(({ pgid }) => pgid));
  const makes = ({ pid, sid }: FrozenProcess): boolean =>
    groups.has(pid) && sid !== pid && !nursery.onTheirOwn.has(pid);
  const joins = ({ pid, pgid }: FrozenProcess): boolean => pgid !== pid && !nursery.onTheirOwn.has(pid);
  for (const state of all) {
    if (makes(state)) scopeOf(nursery, state).call("setpgid", `Making group ${state.pid}`, 0, 0);
  }
  for (const state of all) if (joins(state) && !makes(state)) join(nursery, state, states);
  for (const state of all) if (joins(state) && makes(state)) join(nursery, state, states);
}

function scopeOf(nursery: Nursery, state: FrozenProcess): BuildScope {
  return (nursery.built.get(state.pid) as BuiltProcess).scope;
}

function join(nursery: Nursery, state: FrozenProcess, states: readonly FrozenProcess[]): void {
  const scope = scopeOf(nursery, state);
  const { parent } = nursery.built.get(state.pid) as BuiltProcess;
  const group = state.inside?.pgids.at(-1) ?? state.pgid;
  if (joinGroup(scope, group, parent?.scope ?? nursery.root, (id) => parent?.seen(id) ?? id, state)) return;
  if (existsSync(`/proc/${state.pgid}`)) {
    nursery.notes.push(
      `Process ${state.pid} (${state.command}) leads a group of its own now: ${state.pgid} is in another session.`,
    );
    scope.attempt("setpgid", 0, 0);
    return;
  }
  const leader = standInFor(nursery, scope, state.pgid, state, visible(state.inside?.pgids), 0);
  leader.call("setpgid", `Making group ${state.pgid}`, 0, 0);
  for (const member of states) {
    if (member.pgid !== state.pgid) continue;
    scopeOf(nursery, member).attempt("setpgid", 0, member.inside?.pgids.at(-1) ?? member.pgid);
  }
  endProcess(leader.pid);
  scope.attempt("wait4", group, 0, WAIT.WALL, 0);
}
