/**
 * Ids of new tasks (clone3(2), set_tid). Only who has CAP_CHECKPOINT_RESTORE over a pid namespace may choose ids in it. In
 * those above its user namespace a task gets the next free id: kmonte sets that counter (/proc/sys/kernel/ns_last_pid)
 * for as long as that takes, some microseconds in which nobody else runs, and tries again should somebody have been
 * quicker all the same. An id that somebody has taken since all were found free is waited for, but not for ever.
 */
import { closeSync, existsSync, readFileSync } from "node:fs";
import { SyscallError } from "../../sys/call.ts";
import type { CloneArgs } from "../../abi/clone.ts";
import { CLONE } from "../../abi/clone.ts";
import { O } from "../../abi/fcntl.ts";
import { WAIT } from "../../abi/wait.ts";
import { failures } from "../../errors/catalogue.ts";
import type { KmonteError } from "../../errors/failure.ts";
import { usersOf } from "../../proc/id-users.ts";
import { parseStatus } from "../../proc/status.ts";
import type { FrozenProcess } from "../../image/schema.ts";
import { openPath } from "../../resources/file/path-file.ts";
import { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { endProcess, waitForEnd } from "./clone-process.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";
import type { ExclusiveProcessor } from "./one-processor.ts";
import type { ThawedUserNamespaces } from "./user-namespaces.ts";

export const COUNTER = "/proc/sys/kernel/ns_last_pid";
const MOST_TRIES = 200;
/** How long somebody else may have the id, in milliseconds. */
const LONGEST_WAIT_MS = 10_000;

export interface NewTask {
  readonly args: Omit<CloneArgs, "setTid" | "setTidSize">;
  /** Innermost first, ours last. */
  readonly ids: readonly number[];
  /** Where it is cloned. */
  readonly inside: FrozenProcess["pidNamespace"];
  readonly about: string;
  /** How long somebody else may have an id, in milliseconds. */
  readonly patience?: number | undefined;
}

export function cloneWithIds(from: BuildScope, userNamespaces: ThawedUserNamespaces, task: NewTask): void {
  const { ids, inside, patience = LONGEST_WAIT_MS } = task;
  const end = Date.now() + patience;
  const chosen = from.user === undefined ? ids.length : choosable(from.user, userNamespaces, inside?.owners ?? []);
  if (chosen === ids.length) return cloneChosen(from, task, end);
  userNamespaces.oneProcessor.share(from.tid, (undisturbed) =>
    cloneByCounter(from, userNamespaces, task, { chosen, end, undisturbed }),
  );
}

interface Counting {
  /** How many levels of ids can be chosen, from the innermost out. */
  readonly chosen: number;
  /** When it is given up, in milliseconds since the epoch. */
  readonly end: number;
  readonly undisturbed: ExclusiveProcessor;
}

function cloneByCounter(
  from: BuildScope,
  userNamespaces: ThawedUserNamespaces,
  { args, ids, inside, about }: NewTask,
  { chosen, end, undisturbed: { others, free } }: Counting,
): void {
  const outer = ids.at(-1) as number;
  const counter = openPath(COUNTER, O.O_WRONLY);
  try {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      if (chosen === 0 && inside && ids.length > 1) userNamespaces.count(inside, (ids[0] as number) - 1);
      const after = readFileSync(COUNTER, "utf8").trim();
      const meanwhile = { file: counter, during: String(outer - 1), after, others };
      const seen = from.clone(args, ids.slice(0, chosen), about, meanwhile);
      free(from.lastBorn);
      if (from.lastBorn === outer) return checkIds(ids, about);
      endStray(from, seen, (args.flags & CLONE.THREAD) !== 0);
      if (!isFreeBy(outer, end)) break;
    }
  } finally {
    closeSync(counter);
  }
  throw idLost(outer, about);
}

function cloneChosen(from: BuildScope, { args, ids, about }: NewTask, end: number): void {
  for (;;) {
    try {
      from.clone(args, ids, about);
      return;
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== "EEXIST") throw error;
      if (Date.now() >= end) throw idLost(ids.at(-1) as number, about);
    }
    sleepMicroseconds(PAUSE_US);
  }
}

function idLost(id: number, about: string): KmonteError {
  const holder = usersOf(new Set([id])).get(id)?.what;
  return failures.PID_LOST({ about, id, holder });
}

/** Waits until an id is free: what took it may be one of the many short-lived processes of a boot. */
function isFreeBy(id: number, end: number): boolean {
  while (existsSync(`/proc/${id}`)) {
    if (Date.now() > end) return false;
    sleepMicroseconds(PAUSE_US);
  }
  return true;
}

const PAUSE_US = 10_000;

/** How many levels, from the innermost out, belong to the user namespace of the maker or to one below. */
function choosable(user: string, userNamespaces: ThawedUserNamespaces, owners: readonly string[]): number {
  const inner = owners.toReversed();
  const first = inner.findIndex((owner) => !userNamespaces.isWithin(owner === "" ? undefined : owner, user));
  return first < 0 ? inner.length : first;
}

function endStray(from: BuildScope, seen: number, thread: boolean): void {
  const stray = from.lastBorn;
  if (thread) {
    new BuildScope(from.pid, stray, from.memory, from.callArea).exitThread();
    waitForEnd(stray);
    return;
  }
  endProcess(stray);
  from.attempt("wait4", seen, 0, WAIT.WALL, 0);
}

/** Levels in between, which neither the maker nor kmonte decides on. */
function checkIds(ids: readonly number[], about: string): void {
  const status = parseStatus(readFileSync(`/proc/${ids.at(-1)}/status`, "utf8"));
  const got = (status.get("NSpid") ?? "").split(/\s+/).map(Number).slice(-ids.length);
  if (got.toReversed().every((id, level) => id === ids[level])) return;
  throw failures.PID_INSIDE({ about, got: got.join(", "), wanted: ids.toReversed().join(", ") });
}
