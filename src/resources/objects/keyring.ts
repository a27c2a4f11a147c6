/**
 * A keyring of the set's own (session-keyring(7), process-keyring(7), thread-keyring(7)) with its keys of type "user",
 * the one type that the kernel lets be read and made again. The kernel chooses new numbers for all of them.
 */
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { asUser, type Identity } from "../../abi/identity.ts";
import {
  KEY_ALL_SEARCH,
  KEY_SPEC,
  KEY_USER_ALL,
  KEYCTL,
  listKeys,
  setKeyOwner,
  setKeyRights,
  type ListedKey,
} from "../../abi/keyctl.ts";
import { Refusal } from "../../lib/errors.ts";
import { parseStatus } from "../../proc/status.ts";
import { SCRATCH_SIZE, type RemoteScope } from "../../tracee/scope.ts";
import type { FreezeThread, ObjectKind, ThawContext, ThawThread } from "../contract.ts";

const owned = { perm: v.number(), uid: v.number(), gid: v.number() };
const schema = v.strictObject({
  kind: v.literal("keyring"),
  name: v.string(),
  ...owned,
  /** Keyrings of the user that it leads to. */
  links: v.array(v.picklist(["USER_KEYRING", "USER_SESSION_KEYRING"])),
  /** Payloads in base64. */
  keys: v.array(v.strictObject({ description: v.string(), payload: v.string(), ...owned })),
});
type KeyringState = v.InferOutput<typeof schema>;

export interface KeyringHandle {
  readonly state: KeyringState;
  /** Its new number, once a thread has made it. */
  serial?: number;
}

export const keyring: ObjectKind<KeyringState, KeyringHandle> = {
  name: "keyring",
  schema,
  *forUser({ keys, ...ring }, { user }) {
    if ([ring, ...keys].some(({ uid }) => uid !== user.uid)) yield "It holds a keyring of another user's.";
  },
  needs: () => [{ option: "CONFIG_KEYS", what: "keyrings(7)" }],
  thaw: (state) => ({ state }),
};

const LINKS = ["USER_KEYRING", "USER_SESSION_KEYRING"] as const;

/** Looks at it from inside the thread, which holds it. */
export function freezeKeyring(thread: FreezeThread, serial: number): KeyringState {
  const { scope, status, process } = thread;
  const listed = asUser(userOf(status), listKeys);
  const own = listed.get(serial) ?? refuse(thread, `the rights of keyring ${serial} cannot be seen`);
  const known = LINKS.map((name) => [name, scope.attempt("keyctl", KEYCTL.GET_KEYRING_ID, KEY_SPEC[name], 0)] as const);
  const members = read(thread, serial);
  const links: KeyringState["links"] = [];
  const keys: KeyringState["keys"] = [];
  for (let at = 0; at + 4 <= members.length; at += 4) {
    const id = members.readInt32LE(at);
    const link = known.find(([, other]) => other === id);
    if (link) {
      links.push(link[0]);
      continue;
    }
    const { type, description } = describe(scope, id);
    if (type !== "user") return refuse(thread, `${description} is of type ${type}, which the kernel gives to nobody`);
    const seen = listed.get(id) ?? refuse(thread, `the rights of ${description} cannot be seen`);
    if (seen.expires) return refuse(thread, `${description} ends by itself, and the kernel does not tell exactly when`);
    keys.push({ description, payload: read(thread, id).toString("base64"), ...rightsOf(seen) });
  }
  if (keys.length > 0)
    process.context.note(
      `The keys of process ${process.pid} (${process.command}) will have other numbers: it finds them by their descriptions.`,
    );
  return { kind: "keyring", name: describe(scope, serial).description, ...rightsOf(own), links, keys };
}

/** The kernel looks at the file system ids of who asks for a key, and gives new ones to them. */
function userOf(status: ReadonlyMap<string, string>): Identity {
  const idOf = (name: string): number => Number((status.get(name) ?? "").split(/\s+/)[3] ?? 0);
  return { uid: idOf("Uid"), gid: idOf("Gid"), groups: [] };
}

function rightsOf({ perm, uid, gid }: ListedKey): Pick<ListedKey, "perm" | "uid" | "gid"> {
  return { perm, uid, gid };
}

/** "type;uid;gid;rights;description" */
function describe(scope: RemoteScope, id: number): { type: string; description: string } {
  const length = scope.attempt("keyctl", KEYCTL.DESCRIBE, id, scope.scratch, SCRATCH_SIZE);
  if (length <= 0 || length > SCRATCH_SIZE) return { type: "unknown", description: `key ${id}` };
  const [type = "", , , , ...rest] = scope
    .take(length - 1)
    .toString("latin1")
    .split(";");
  return { type, description: rest.join(";") };
}

function read(thread: FreezeThread, id: number): Buffer {
  const { scope } = thread;
  const length = scope.attempt("keyctl", KEYCTL.READ, id, scope.scratch, SCRATCH_SIZE);
  if (length < 0) return refuse(thread, `${describe(scope, id).description} cannot be read`);
  if (length > SCRATCH_SIZE) return refuse(thread, `${describe(scope, id).description} has ${length} bytes`);
  return scope.take(length);
}

function refuse({ tid, process: { pid, command } }: FreezeThread, why: string): never {
  throw new Refusal(
    "KEYRING",
    {
      what: `Process ${pid} (${command}) holds keys that cannot be carried.`,
      why: `As thread ${tid} sees it, ${why} (keyctl(2)).`,
      remedy: "Let the program give up these keys, or leave it out.",
    },
    { pid, tid, command, resource: "keyring" },
  );
}

/** Fills a keyring that the thread has just got, and gives everything to whom it belongs when all threads stand. */
export function fillKeyring({ scope, process, tid }: ThawThread, serial: number, state: KeyringState): void {
  scope.call("keyctl", "Opening a keyring", KEYCTL.SETPERM, serial, KEY_USER_ALL | KEY_ALL_SEARCH);
  const about = "Filling a keyring";
  for (const link of state.links) scope.call("keyctl", about, KEYCTL.LINK, KEY_SPEC[link], serial);
  const made = state.keys.map((key) => {
    const payload = Buffer.from(key.payload, "base64");
    const texts = Buffer.concat([Buffer.from("user\0"), Buffer.from(`${key.description}\0`, "latin1")]);
    const type = scope.put(texts, 0);
    const at = scope.put(payload, texts.length);
    const id = scope.call("add_key", about, type, type + 5, at, payload.length, serial);
    scope.call("keyctl", about, KEYCTL.SETPERM, id, KEY_USER_ALL);
    return [id, key] as const;
  });
  const status = parseStatus(readFileSync(`/proc/${process.pid}/task/${tid}/status`, "utf8"));
  giveAway(process.context, userOf(status), [[serial, state], ...made]);
}

/** Rights come last: whoever has none over a key cannot take the rest away any more. */
function giveAway(
  context: ThawContext,
  maker: Identity,
  all: readonly (readonly [number, Pick<ListedKey, "perm" | "uid" | "gid">])[],
): void {
  context.atResume(() => {
    for (const [id, { uid, gid, perm }] of all.toReversed()) {
      asUser(maker, () => setKeyOwner(id, uid, gid));
      asUser({ uid, gid, groups: [] }, () => setKeyRights(id, perm));
    }
  });
}
