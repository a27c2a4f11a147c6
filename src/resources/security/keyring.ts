/**
 * A keyring of the set's own (session-keyring(7), process-keyring(7), thread-keyring(7)) with its keys of type "user",
 * the one type that the kernel lets be read and made again. The kernel chooses new numbers for all of them.
 */
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { attempt, call } from "../../sys/call.ts";
import { type Identity, asUser, withIds } from "../../sys/identity.ts";
import { KEYCTL, KEY_SPEC, KEY_USER_UNSEARCHABLE } from "../../abi/keyctl.ts";
import { type ListedKey, askKey, listKeys, setKeyOwner, setKeyRights } from "../../sys/keyctl.ts";
import { failures } from "../../errors/catalogue.ts";
import { parseStatus } from "../../proc/status.ts";
import { SCRATCH_SIZE } from "../../tracee/scope.ts";
import type { FreezeThread } from "../freeze-context.ts";
import type { ThawThread } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";

const owned = { perm: v.number(), uid: v.number(), gid: v.number() };
const LINKS = ["USER_KEYRING", "USER_SESSION_KEYRING"] as const;

const schema = v.strictObject({
  kind: v.literal("keyring"),
  name: v.string(),
  ...owned,
  /** Keyrings of the user that it leads to. */
  links: v.array(v.picklist(LINKS)),
  /** Those of other users: a login's keyring leads to that of who has logged in (pam_keyinit(8)). */
  linksOfUsers: v.optional(v.array(v.strictObject({ name: v.picklist(LINKS), uid: v.number() }))),
  /** Payloads in base64. */
  keys: v.array(v.strictObject({ description: v.string(), payload: v.string(), ...owned })),
});
type KeyringState = v.InferOutput<typeof schema>;

export interface KeyringHandle {
  readonly state: KeyringState;
  /** Its new number, once a thread has made it. */
  serial?: number;
  /** Whose it is while the set is being built. */
  owner?: Identity;
  filled?: true;
}

export const keyring: ObjectKind<KeyringState, KeyringHandle, "keyring"> = {
  name: "keyring",
  schema,
  differs: [
    {
      what: "the numbers of keys (keyctl(2)), which the kernel chooses: programs find keys by their descriptions",
      met: () => true,
    },
  ],
  *forUser({ keys, ...ring }, { user }) {
    if ([ring, ...keys, ...(ring.linksOfUsers ?? [])].some(({ uid }) => uid !== user.uid))
      yield "It holds a keyring of another user's.";
  },
  needs: () => [{ option: "CONFIG_KEYS", what: "keyrings(7)" }],
  thaw: (state) => ({ state }),
};

/** Looks at it from inside the thread, which holds it; what the thread may not read, with the right of the key's owner. */
export function freezeKeyring(thread: FreezeThread, serial: number): KeyringState {
  const { scope, process } = thread;
  const own = lookUp(thread, serial);
  const known = LINKS.map((name) => [name, scope.attempt("keyctl", KEYCTL.GET_KEYRING_ID, KEY_SPEC[name], 0)] as const);
  const members = read(thread, serial, own);
  const links: KeyringState["links"] = [];
  const linksOfUsers: NonNullable<KeyringState["linksOfUsers"]> = [];
  const keys: KeyringState["keys"] = [];
  for (let at = 0; at + 4 <= members.length; at += 4) {
    const id = members.readInt32LE(at);
    const link = known.find(([, other]) => other === id);
    if (link) {
      links.push(link[0]);
      continue;
    }
    const key = lookUp(thread, id);
    const { type, description } = key;
    const ofUser = thread.process.context.user ? undefined : linkOfUser(id, key);
    if (ofUser) {
      linksOfUsers.push(ofUser);
      continue;
    }
    if (type !== "user") return refuse(thread, `${description} is of type ${type}, which the kernel gives to nobody`);
    if (key.expires) return refuse(thread, `${description} ends by itself, and the kernel does not tell exactly when`);
    keys.push({ description, payload: read(thread, id, key).toString("base64"), ...rightsOf(key) });
  }
  if (keys.length > 0)
    process.context.note(
      `The keys of process ${process.pid} (${process.command}) will have other numbers: it finds them by their descriptions.`,
    );
  const others = linksOfUsers.length > 0 && { linksOfUsers };
  return { kind: "keyring", name: own.description, ...rightsOf(own), links, ...others, keys };
}

/** Whether a keyring is the one that the kernel has for its owner: who has the owner's real id gets it (user-keyring(7)). */
function linkOfUser(id: number, { type, uid }: Key): { name: (typeof LINKS)[number]; uid: number } | undefined {
  if (type !== "keyring") return undefined;
  const idOf = (name: (typeof LINKS)[number]): number =>
    withIds(uid, 0, () => attempt("keyctl", KEYCTL.GET_KEYRING_ID, KEY_SPEC[name], 0));
  const name = LINKS.find((one) => idOf(one) === id);
  return name && { name, uid };
}

/** The kernel looks at the file system ids of who asks for a key, and gives new ones to them. */
function userOf(status: ReadonlyMap<string, string>): Identity {
  const idOf = (name: string): number => Number((status.get(name) ?? "").split(/\s+/)[3] ?? 0);
  return { uid: idOf("Uid"), gid: idOf("Gid"), groups: [] };
}

function rightsOf({ perm, uid, gid }: ListedKey): Pick<ListedKey, "perm" | "uid" | "gid"> {
  return { perm, uid, gid };
}

type Key = ListedKey & { readonly type: string; readonly description: string };

/**
 * A key as those see it who may: the thread, its user, and for a freeze by root, root and the key's owner. systemd's
 * "invocation_id" in the session keyring of a service belongs to root, and the service's user cannot list it.
 */
function lookUp(thread: FreezeThread, id: number): Key {
  const inside = describe(ask(thread, KEYCTL.DESCRIBE, id));
  const owner = inside && { uid: inside.uid, gid: inside.gid, groups: [] };
  for (const user of [
    userOf(thread.status),
    ...(thread.process.context.user ? [] : [ROOT, ...(owner ? [owner] : [])]),
  ]) {
    const [listed, outside] = asUser(user, () => [listKeys().get(id), describe(askKey(KEYCTL.DESCRIBE, id))]);
    const text = inside ?? outside;
    if (listed && text) return { ...listed, type: text.type, description: text.description };
  }
  return refuse(thread, `the rights of ${inside?.description ?? `key ${id}`} cannot be seen`);
}

const ROOT: Identity = { uid: 0, gid: 0, groups: [] };

/** "type;uid;gid;rights;description" */
function describe(
  text: Buffer | undefined,
): { type: string; uid: number; gid: number; description: string } | undefined {
  if (!text) return undefined;
  const [type = "", uid, gid, , ...rest] = text.subarray(0, -1).toString("latin1").split(";");
  return { type, uid: Number(uid), gid: Number(gid), description: rest.join(";") };
}

/** What keyctl(2) gives the thread itself; undefined when it may not have it, or it is too much. */
function ask({ scope }: FreezeThread, operation: number, id: number): Buffer | undefined {
  const length = scope.attempt("keyctl", operation, id, scope.scratch, SCRATCH_SIZE);
  return length < 0 || length > SCRATCH_SIZE ? undefined : scope.take(length);
}

function read(thread: FreezeThread, id: number, { uid, gid, description }: Key): Buffer {
  const inside = ask(thread, KEYCTL.READ, id);
  if (inside) return inside;
  const user = thread.process.context.user ? userOf(thread.status) : { uid, gid, groups: [] };
  return asUser(user, () => askKey(KEYCTL.READ, id)) ?? refuse(thread, `${description} cannot be read`);
}

function refuse({ tid, process: { pid, command } }: FreezeThread, why: string): never {
  throw failures.KEYRING.unreadable({ pid, command, tid, why });
}

/** Fills a keyring that the thread has just got, and gives everything to whom it belongs when all threads stand. */
export function fillKeyring({ scope, process, tid }: ThawThread, serial: number, handle: KeyringHandle): void {
  const { state } = handle;
  const about = "Filling a keyring";
  scope.call("keyctl", "Opening a keyring", KEYCTL.SETPERM, serial, KEY_USER_UNSEARCHABLE);
  for (const link of state.links) scope.call("keyctl", about, KEYCTL.LINK, KEY_SPEC[link], serial);
  const made = state.keys.map((key) => {
    const payload = Buffer.from(key.payload, "base64");
    const texts = Buffer.concat([Buffer.from("user\0"), Buffer.from(`${key.description}\0`, "latin1")]);
    const type = scope.put(texts, 0);
    const at = scope.put(payload, texts.length);
    const id = scope.call("add_key", about, type, type + 5, at, payload.length, serial);
    scope.call("keyctl", about, KEYCTL.SETPERM, id, KEY_USER_UNSEARCHABLE);
    return [id, key] as const;
  });
  const maker = identityOf(process.pid, tid);
  process.context.during("arm", () => {
    // Rights come last: whoever has none over a key cannot take the rest away any more.
    for (const [id, key] of made.toReversed()) giveAway(id, maker, key);
    const owner = handle.owner ?? maker;
    for (const { name, uid } of state.linksOfUsers ?? [])
      withIds(uid, owner.uid, () => call("keyctl", about, KEYCTL.LINK, KEY_SPEC[name], serial));
    giveAway(serial, owner, state);
  });
}

function giveAway(id: number, maker: Identity, { uid, gid, perm }: Pick<ListedKey, "perm" | "uid" | "gid">): void {
  asUser(maker, () => setKeyOwner(id, uid, gid));
  asUser({ uid, gid, groups: [] }, () => setKeyRights(id, perm));
}

/** To whom keys of a thread belong that it makes now. */
export function identityOf(pid: number, tid: number): Identity {
  return userOf(parseStatus(readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8")));
}
