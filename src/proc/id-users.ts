/** Who has a process id: it is free for another task only when neither a task, nor a group, nor a session goes by it. */
import { readdirOrEmpty, readStat } from "./read.ts";
import type { ProcessStat } from "./status.ts";

/** Who keeps an id from being given again. */
export interface IdUser {
  readonly what: string;
  /** It has ended, and goes as soon as its parent has taken notice. */
  readonly ended: boolean;
}

/** A number stays in use as long as a task, a process group or a session has it. */
export function usersOf(ids: ReadonlySet<number>): Map<number, IdUser> {
  const users = new Map<number, IdUser>();
  const note = (id: number, user: IdUser): void => {
    // Who lives says more.
    if (ids.has(id) && users.get(id)?.ended !== false) users.set(id, user);
  };
  for (const id of ids) {
    const stat = readStat(id);
    if (stat) note(id, { what: stat.comm, ended: hasEnded(stat) });
  }
  for (const name of readdirOrEmpty("/proc")) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined;
    if (!stat) continue;
    const ended = hasEnded(stat);
    const who = `${stat.comm} (${name})`;
    note(stat.pgrp, { what: `the process group of ${who}`, ended });
    note(stat.session, { what: `the session of ${who}`, ended });
  }
  return users;
}

/** A first thread that has ended waits for the others, who may live long. */
function hasEnded({ state, threads }: ProcessStat): boolean {
  return (state === "Z" || state === "X") && threads <= 1;
}
