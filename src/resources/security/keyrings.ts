/**
 * Keys that a thread, its process or its session holds (thread-keyring(7), process-keyring(7), session-keyring(7)). A
 * session's keyring that is kmonte's own too is a thing of the machine and stays there; the user's usual one is joined
 * again.
 *
 * A keyring can be joined by its name alone (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING), and anonymous ones all have the
 * same. So each is made as early as possible, and threads and children are cloned with it (clone(2)). Whoever is not
 * finds it by its name, while its user can find no other one of the set.
 */
import * as v from "valibot";
import { type Identity, asUser } from "../../sys/identity.ts";
import { attempt } from "../../sys/call.ts";
import { KEYCTL, KEY_SPEC, KEY_USER_ALL, KEY_USER_UNSEARCHABLE } from "../../abi/keyctl.ts";
import { listKeys, setKeyOwner, setKeyRights } from "../../sys/keyctl.ts";
import { failures } from "../../errors/catalogue.ts";
import type { KmonteError } from "../../errors/failure.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { Row } from "../../tracee/scope.ts";
import type { ThawProcess, ThawThread } from "../thaw-context.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";
import { fillKeyring, freezeKeyring, identityOf, type KeyringHandle } from "./keyring.ts";

const WHICH = ["thread", "process", "session"] as const;
const SPECS = {
  thread: KEY_SPEC.THREAD_KEYRING,
  process: KEY_SPEC.PROCESS_KEYRING,
  session: KEY_SPEC.SESSION_KEYRING,
} as const;

/** Ids of objects; absent when there is none of its own. */
const schema = v.optional(
  v.strictObject({
    thread: v.optional(v.string()),
    process: v.optional(v.string()),
    session: v.optional(v.string()),
    /** Its session keyring is the user's, which everybody of that user has without one of their own. */
    userSession: v.optional(v.literal(true)),
  }),
);
type Keyrings = v.InferOutput<typeof schema>;

const idOf = (keyring: number): Row => ["keyctl", KEYCTL.GET_KEYRING_ID, keyring, 0];

export const keyrings: ThreadResource<Keyrings, "keyrings"> = {
  name: "keyrings",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: 0,
    calls: () => ({
      ...Object.fromEntries(WHICH.map((name) => [name, idOf(SPECS[name])])),
      userSession: idOf(KEY_SPEC.USER_SESSION_KEYRING),
    }),
  },
  freeze(thread, answers) {
    const state: NonNullable<Keyrings> = {};
    WHICH.forEach((name) => {
      // ENOKEY when there is none; where a sandbox forbids to ask, it forbids to make one too.
      const serial = answers.attempt(name);
      if (serial <= 0) return;
      if (name === "session" && serial === answers.attempt("userSession")) return void (state.userSession = true);
      if (name === "session" && serial === ownSession()) return;
      if (name === "process" && thread.process.stat.threads > 1)
        throw failures.KEYRING.sharedByThreads({
          pid: thread.process.pid,
          command: thread.process.command,
          tid: thread.tid,
        });
      state[name] = thread.process.context.object(`keyring:${serial}`, () => freezeKeyring(thread, serial));
    });
    return Object.keys(state).length === 0 ? undefined : state;
  },
  thaw(thread, state) {
    const { context } = thread.process;
    if (state?.userSession) joinUserSession(thread);
    for (const name of WHICH) {
      const id = state?.[name];
      if (id === undefined) continue;
      const handle = context.object<KeyringHandle>(id);
      if (name === "session") joinSession(thread, handle);
      else fillKeyring(thread, get(thread, SPECS[name], 1), handle);
    }
  },
};

let own: number | undefined;

function ownSession(): number {
  return (own ??= attempt("keyctl", KEYCTL.GET_KEYRING_ID, KEY_SPEC.SESSION_KEYRING, 0));
}

/**
 * Makes the session keyring of a process that has just been cloned, when it was not cloned with it: its threads and children
 * will be. `main` is the state of its first thread.
 */
export function joinSessionAtClone(process: ThawProcess, main: { readonly keyrings?: Keyrings } | undefined): void {
  const id = main?.keyrings?.session;
  // In a user namespace keyrings have names of their own.
  if (id === undefined || process.scope.user !== undefined) return;
  const handle = process.context.object<KeyringHandle>(id);
  if (handle.serial === undefined) make(process, process.scope, handle);
}

function get({ scope }: Pick<ThawThread, "scope">, spec: number, create: 0 | 1): number {
  return scope.call("keyctl", "Getting a keyring", KEYCTL.GET_KEYRING_ID, spec, create);
}

function joinSession(thread: ThawThread, handle: KeyringHandle): void {
  const { scope, process, tid } = thread;
  if (handle.serial === undefined) make(process, scope, handle);
  else if (get(thread, KEY_SPEC.SESSION_KEYRING, 0) !== handle.serial) find(thread, handle);
  if (handle.filled) return;
  handle.filled = true;
  giveTo(handle, identityOf(process.pid, tid));
  fillKeyring(thread, handle.serial as number, handle);
}

/** Joins a new keyring: without a name there is always a new one, called _ses. */
function make(process: ThawProcess, scope: BuildScope, handle: KeyringHandle): void {
  const { name } = handle.state;
  const owner = identityOf(process.pid, scope.tid);
  const before = name === ANONYMOUS ? undefined : asUser(owner, listKeys);
  const serial = join(scope, name === ANONYMOUS ? undefined : name);
  // Nobody else's of that name is taken over.
  if (before?.has(serial)) throw nameTaken(process, name);
  scope.call("keyctl", "Opening a keyring", KEYCTL.SETPERM, serial, KEY_USER_UNSEARCHABLE);
  handle.serial = serial;
  handle.owner = owner;
}

/** Joins a keyring that is there already. For that moment it is the thread's user's, who may find it by its name. */
function find({ scope, process, tid }: ThawThread, handle: KeyringHandle): void {
  const serial = handle.serial as number;
  giveTo(handle, identityOf(process.pid, tid));
  asUser(handle.owner, () => setKeyRights(serial, KEY_USER_ALL));
  const found = join(scope, handle.state.name);
  asUser(handle.owner, () => setKeyRights(serial, KEY_USER_UNSEARCHABLE));
  if (found !== serial) throw nameTaken(process, handle.state.name);
}

function giveTo(handle: KeyringHandle, to: Identity): void {
  const { serial = 0, owner } = handle;
  if (owner?.uid === to.uid && owner.gid === to.gid) return;
  asUser(owner, () => setKeyOwner(serial, to.uid, to.gid));
  handle.owner = to;
}

function join(scope: BuildScope, name: string | undefined): number {
  const at = name === undefined ? 0 : scope.put(Buffer.from(`${name}\0`, "latin1"));
  return scope.call("keyctl", "Joining a session keyring", KEYCTL.JOIN_SESSION_KEYRING, at);
}

/** Rather than what it was cloned with, which is kmonte's or that of a process of the set. */
function joinUserSession(thread: ThawThread): void {
  const { scope } = thread;
  const usual = get(thread, KEY_SPEC.USER_SESSION_KEYRING, 0);
  if (get(thread, KEY_SPEC.SESSION_KEYRING, 0) === usual) return;
  const length = scope.call("keyctl", "Looking at a keyring", KEYCTL.DESCRIBE, usual, scope.scratch, NAME_ROOM);
  const name = scope
    .take(Math.min(length, NAME_ROOM) - 1)
    .toString("latin1")
    .split(";")
    .at(-1) as string;
  const found = join(scope, name);
  if (found !== usual) throw nameTaken(thread.process, name);
}

/** For "keyring;uid;gid;rights;_uid_ses.UID". */
const NAME_ROOM = 128;
const ANONYMOUS = "_ses";

function nameTaken({ pid, command }: ThawProcess, name: string): KmonteError {
  return failures.KEYRING_NAME({ pid, command, name });
}
