/**
 * Keys that a thread, its process or its session holds (thread-keyring(7), process-keyring(7), session-keyring(7)). A
 * session's keyring that is kmonte's own too, or the user's usual one, is a thing of the machine and stays there.
 */
import * as v from "valibot";
import { attempt } from "../../abi/call.ts";
import { KEY_SPEC, KEYCTL } from "../../abi/keyctl.ts";
import { KmonteError, Refusal } from "../../lib/errors.ts";
import type { ThawThread, ThreadResource } from "../contract.ts";
import { fillKeyring, freezeKeyring, type KeyringHandle } from "../objects/keyring.ts";
import { ofAnyUser } from "../for-user.ts";

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
  }),
);
type Keyrings = v.InferOutput<typeof schema>;

export const keyrings: ThreadResource<Keyrings> = {
  name: "keyrings",
  schema,
  forUser: ofAnyUser,
  asks: {
    bytes: 0,
    calls: () =>
      [...WHICH.map((name) => SPECS[name]), KEY_SPEC.USER_SESSION_KEYRING].map(
        (id) => ["keyctl", KEYCTL.GET_KEYRING_ID, id, 0] as const,
      ),
  },
  freeze(thread, answers) {
    const state: NonNullable<Keyrings> = {};
    WHICH.forEach((name, i) => {
      // ENOKEY when there is none; where a sandbox forbids to ask, it forbids to make one too.
      const serial = answers.attempt(i);
      if (serial <= 0) return;
      if (name === "session" && (serial === answers.attempt(WHICH.length) || serial === ownSession())) return;
      if (name === "process" && thread.process.stat.threads > 1) throw sharedByThreads(thread.process, thread.tid);
      state[name] = thread.process.context.object(`keyring:${serial}`, () => freezeKeyring(thread, serial));
    });
    return Object.keys(state).length === 0 ? undefined : state;
  },
  thaw(thread, state) {
    const { context } = thread.process;
    for (const name of WHICH) {
      const id = state?.[name];
      if (id === undefined) continue;
      const handle = context.object<KeyringHandle>(id);
      if (name === "session") joinSession(thread, handle);
      else fillKeyring(thread, get(thread, SPECS[name], 1), handle.state);
    }
  },
};

let own: number | undefined;

function ownSession(): number {
  return (own ??= attempt("keyctl", KEYCTL.GET_KEYRING_ID, KEY_SPEC.SESSION_KEYRING, 0));
}

function get({ scope }: ThawThread, spec: number, create: 0 | 1): number {
  return scope.call("keyctl", "Getting a keyring", KEYCTL.GET_KEYRING_ID, spec, create);
}

/** The first makes it, the others find it by its name; it is open to its user until all have it. */
function joinSession(thread: ThawThread, handle: KeyringHandle): void {
  const { scope, process } = thread;
  if (handle.serial !== undefined && get(thread, KEY_SPEC.SESSION_KEYRING, 0) === handle.serial) return;
  const { name } = handle.state;
  // Nobody else's of that name is taken over: without a name there is always a new one, called _ses.
  const anonymous = handle.serial === undefined && name === ANONYMOUS;
  const at = anonymous ? 0 : scope.put(Buffer.from(`${name}\0`, "latin1"));
  const serial = scope.call("keyctl", "Joining a session keyring", KEYCTL.JOIN_SESSION_KEYRING, at);
  if (handle.serial === undefined) {
    handle.serial = serial;
    fillKeyring(thread, serial, handle.state);
  } else if (serial !== handle.serial)
    throw new KmonteError("KEYRING_NAME", {
      what: `Process ${process.pid} (${process.command}) cannot join its session keyring again.`,
      why: `Another keyring of the machine is called ${name} and open to everybody of that user.`,
      remedy: "Unlink that keyring, or revoke it (keyctl(1)).",
    });
}

const ANONYMOUS = "_ses";

function sharedByThreads({ pid, command }: { pid: number; command: string }, tid: number): Refusal {
  return new Refusal(
    "KEYRING",
    {
      what: `Process ${pid} (${command}) holds keys that cannot be carried.`,
      why: `It has a process keyring, as thread ${tid} sees it (keyctl(2)), and several threads: each would get one of its own.`,
      remedy: "Let the program put its keys into the keyring of its session or user, or leave it out.",
    },
    { pid, tid, command, resource: "keyring" },
  );
}
