/** Process groups (setpgid(2)), once all processes stand. */
import { existsSync } from "node:fs";
import { WAIT } from "../../abi/wait.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { joinGroup, visible } from "./pid-namespaces.ts";
import { endProcess, cloneSessionLeader } from "./clone-process.ts";
import type { TreeBuilder } from "./tree-builder.ts";
import type { BuiltProcess } from "../fill/process.ts";

/**
 * Whoever a group is called after makes it, be it only for the moment: it may have gone to another group since, and
 * one that has ended gets a stand-in. Those who lead no group of their own join last.
 */
export function setGroups(builder: TreeBuilder, states: readonly FrozenProcess[]): void {
  const all = [...builder.built.values()].map((process) => process.state);
  const groups = new Set(all.map(({ pgid }) => pgid));
  const makes = ({ pid, sid }: FrozenProcess): boolean =>
    groups.has(pid) && sid !== pid && !builder.inNewSessions.has(pid);
  const joins = ({ pid, pgid }: FrozenProcess): boolean => pgid !== pid && !builder.inNewSessions.has(pid);
  for (const state of all) {
    if (makes(state)) scopeOf(builder, state).call("setpgid", `Making group ${state.pid}`, 0, 0);
  }
  for (const state of all) if (joins(state) && !makes(state)) join(builder, state, states);
  for (const state of all) if (joins(state) && makes(state)) join(builder, state, states);
}

function scopeOf(builder: TreeBuilder, state: FrozenProcess): BuildScope {
  return (builder.built.get(state.pid) as BuiltProcess).scope;
}

function join(builder: TreeBuilder, state: FrozenProcess, states: readonly FrozenProcess[]): void {
  const scope = scopeOf(builder, state);
  const { parent } = builder.built.get(state.pid) as BuiltProcess;
  const group = state.pidNamespace?.pgids.at(-1) ?? state.pgid;
  if (joinGroup(scope, group, parent?.scope ?? builder.root, (id) => parent?.seen(id) ?? id, state)) return;
  if (existsSync(`/proc/${state.pgid}`)) {
    builder.notes.push(
      `Process ${state.pid} (${state.command}) leads a group of its own now: ${state.pgid} is in another session.`,
    );
    scope.attempt("setpgid", 0, 0);
    return;
  }
  const leader = cloneSessionLeader(builder, scope, state.pgid, state, visible(state.pidNamespace?.pgids), 0);
  leader.call("setpgid", `Making group ${state.pgid}`, 0, 0);
  for (const member of states) {
    if (member.pgid !== state.pgid) continue;
    scopeOf(builder, member).attempt("setpgid", 0, member.pidNamespace?.pgids.at(-1) ?? member.pgid);
  }
  endProcess(leader.pid);
  scope.attempt("wait4", group, 0, WAIT.WALL, 0);
}
