/** Whether the ids of an image's processes and threads are free, asked before anything is made. */
import { readdirSync } from "node:fs";
import { Refusal } from "../lib/errors.ts";
import type { Image } from "../image/read.ts";
import { readStat } from "../proc/read.ts";
import type { ProcessStat } from "../proc/status.ts";
import { sleepMicroseconds } from "../tracee/stops.ts";

/** How long parents and init get to take notice of processes that have ended. */
const REAPING_MS = 3000;

/** Who keeps an id from being given again. */
interface User {
  readonly what: string;
  /** It has ended, and goes as soon as its parent has taken notice. */
  readonly ended: boolean;
}

/** A refusal for each process one of whose ids is in use; one that is taken is enough to say. */
export function checkIds(image: Image): Refusal[] {
  const wanted = image.state.processes.map(({ pid, command, body }) => ({
    pid,
    command,
    ids: new Set([pid, ...(body?.threads.map(({ tid }) => tid) ?? [])]),
  }));
  const all = new Set(wanted.flatMap(({ ids }) => [...ids]));
  const deadline = Date.now() + REAPING_MS;
  let users = usersOf(all);
  // Right after a freeze the old processes may still wait for somebody to take notice of their end.
  while ([...users.values()].some(({ ended }) => ended) && Date.now() < deadline) {
    sleepMicroseconds(2000);
    users = usersOf(all);
  }
  return wanted.flatMap(({ pid, command, ids }) => {
    const taken = [...ids].find((id) => users.has(id));
    return taken === undefined ? [] : [idTaken(pid, command, taken, users.get(taken)?.what ?? "")];
  });
}

/** A number stays in use as long as a task, a process group or a session has it. */
function usersOf(ids: ReadonlySet<number>): Map<number, User> {
  const users = new Map<number, User>();
  const note = (id: number, user: User): void => {
    // Who lives says more.
    if (ids.has(id) && users.get(id)?.ended !== false) users.set(id, user);
  };
  for (const id of ids) {
    const stat = readStat(id);
    if (stat) note(id, { what: stat.comm, ended: hasEnded(stat) });
  }
  for (const name of readdirSync("/proc")) {
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

function idTaken(pid: number, command: string, id: number, user: string): Refusal {
  return new Refusal(
    "PID_TAKEN",
    {
      what: `Process ${pid} (${command}) cannot get its id back.`,
      why: `The id ${id} is in use by ${user}.`,
      remedy: "End that process, or thaw after a reboot.",
    },
    { pid: id, command },
  );
}
