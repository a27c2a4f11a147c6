/** Whether the ids of an image's processes and threads are free, asked before anything is made. */
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import type { Image } from "../../image/read.ts";
import { usersOf } from "../../proc/id-users.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";

/** How long parents and init get to take notice of processes that have ended. */
const REAPING_MS = 3000;

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
    return taken === undefined
      ? []
      : [failures.PID_TAKEN({ pid, command, id: taken, user: users.get(taken)?.what ?? "" })];
  });
}
