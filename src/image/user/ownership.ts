/**
 * What an ordinary user may freeze and thaw: processes that are wholly the user's own, holding nothing that the user
 * could not have made or opened. Asked of the state both before it is signed and before anything is made of it. What
 * a kind of resource allows stands in its own file (`forUser`); a kind that does not say is refused.
 */
import type { ThreadStates } from "../../resources/registry.ts";
import type { Identity } from "../../sys/identity.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import type { UserView } from "../../resources/contract.ts";
import { filesOf, objectsOf, resourcesOf, threadPartsOf, type Part } from "../kinds.ts";
import { viewOf } from "./reach.ts";
import type { FrozenFile, FrozenProcess, FrozenState } from "../schema.ts";

/** All that stands in the way; empty when the set is the user's own. */
export function checkOwned(state: FrozenState, user: Identity): Refusal[] {
  return [...refusalsOf(state, viewOf(state, user))];
}

function* refusalsOf(state: FrozenState, view: UserView): Generator<Refusal> {
  for (const process of state.processes) for (const why of reasonsOf(process, view)) yield refuse(why, process);
  for (const part of filesOf(state)) for (const why of partReasons(part, view)) yield refuse(why);
  for (const [id, file] of Object.entries(state.files))
    for (const why of ownerReasons(id, file, view)) yield refuse(why);
  for (const part of objectsOf(state)) for (const why of partReasons(part, view)) yield refuse(why);
  if (state.mountNamespaceOf) yield refuse("It lives in a mount namespace of its own.");
}

/** What the kind says of a part, or that it does not say. */
export function* partReasons({ what, kind, state }: Part, view: UserView): Generator<string> {
  if (kind?.forUser) yield* kind.forUser(state, view);
  else yield `It holds ${what}, which is not for ordinary users.`;
}

function* reasonsOf(process: FrozenProcess, view: UserView): Generator<string> {
  if (process.pidNamespace ?? process.pidNamespaceForChildren) yield "It lives in a pid namespace of its own.";
  if (!process.body) return;
  for (const part of resourcesOf(process.body)) yield* partReasons(part, view);
  const { threads, endedLeader } = process.body;
  for (const thread of threads) {
    if (thread.unshared?.namespaces) yield "It has a thread in namespaces of its own.";
    // One whose credentials were refused has none.
    const { credentials: rights }: Partial<ThreadStates> = thread;
    for (const part of threadPartsOf(thread))
      yield* partReasons(part, { ...view, noNewPrivs: rights?.noNewPrivs === true });
  }
  if (endedLeader) for (const part of threadPartsOf(endedLeader)) yield* partReasons(part, view);
}

/** Who gets signals of a file, and in which namespace it lies. */
function* ownerReasons(
  id: string,
  { signalOwner: owner, net, mnt }: FrozenFile,
  { user, pids }: UserView,
): Generator<string> {
  if (net !== undefined || mnt !== undefined) yield "It has a file of another namespace open.";
  if (!owner) return;
  // Process groups are told by negative numbers; only processes of the set are sure to be the user's. The kernel
  // remembers who asked for these signals; after a thaw that would be root.
  if (owner.pid !== 0 && !pids.has(Math.abs(owner.pid)))
    yield `Signals of its file ${id} go to process ${owner.pid}, which is not one of the set.`;
  const setter = owner.pid ? (owner.uids ?? []) : [user.uid];
  if (setter.length === 0 || setter.some((uid) => uid !== user.uid))
    yield `Who asked for the signals of its file ${id} cannot be told, or is somebody else.`;
}

function refuse(why: string, process?: FrozenProcess): Refusal {
  return process ? failures.NOT_YOURS.process({ ...process, why }) : failures.NOT_YOURS.set({ why });
}
