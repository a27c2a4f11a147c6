/** Ids for processes that help while a set is built: none that the set itself is going to need. */
import { existsSync, readFileSync } from "node:fs";
import type { FrozenProcess } from "../../image/schema.ts";

/** The most that a machine without an opinion of its own would give (PID_MAX_DEFAULT). */
const USUAL_MOST = 32_768;
/** The kernel's RESERVED_PIDS (kernel/pid.c): never given again once the counter has wrapped around. */
const LEAST = 300;

/** Counts down from the greatest id that can be. */
export function* helperIds(states: readonly FrozenProcess[]): Generator<number, never> {
  const taken = idsOfSet(states);
  for (;;) {
    for (let id = greatest() - 1; id > LEAST; id -= 1) if (!taken.has(id) && !existsSync(`/proc/${id}`)) yield id;
  }
}

/** All ids that the set has, on whatever level of pid namespaces. */
export function idsOfSet(states: readonly FrozenProcess[]): Set<number> {
  const taken = new Set<number>();
  for (const { pid, pgid, sid, pidNamespace: inside, body } of states) {
    const threads =
      body?.threads.flatMap(({ tid, tidsInNamespaces: tidsInside }) => [tid, ...(tidsInside ?? [])]) ?? [];
    const below = inside ? [...inside.pids, ...inside.pgids, ...inside.sids] : [];
    for (const id of [pid, pgid, sid, ...threads, ...below]) taken.add(id);
  }
  return taken;
}

function greatest(): number {
  return Math.min(Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")), USUAL_MOST);
}
