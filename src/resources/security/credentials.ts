/** Whose rights a thread has: ids, groups, capabilities, securebits, no_new_privs (credentials(7), capabilities(7)). */
import * as v from "valibot";
import { CAPABILITIES, CAPABILITY_VERSION, capabilityMask } from "../../abi/capability.ts";
import { readFileSync } from "../../sys/files.ts";
import { capabilityNames } from "../../sys/capability.ts";
import { SyscallError } from "../../sys/call.ts";
import { MAP, PAGE_SIZE, PROT } from "../../abi/mman.ts";
import { PR, PR_CAP_AMBIENT } from "../../abi/prctl.ts";
import { remoteAddress } from "../../lib/brand.ts";
import type { Row } from "../../tracee/scope.ts";
import { parseStatus } from "../../proc/status.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { ThawThread } from "../thaw-context.ts";
import type { ThreadResource } from "../contract.ts";
import { idInside, type UserNamespaceHandle } from "../namespace/user.ts";

/** Real, effective, saved and file system id. */
const fourIds = v.tuple([v.number(), v.number(), v.number(), v.number()]);
const set = v.array(v.string());

const schema = v.strictObject({
  uids: fourIds,
  gids: fourIds,
  groups: v.array(v.number()),
  inheritable: set,
  permitted: set,
  effective: set,
  bounding: set,
  ambient: set,
  securebits: v.number(),
  noNewPrivs: v.boolean(),
});
export type Credentials = v.InferOutput<typeof schema>;

export const SECBIT_KEEP_CAPS_AND_NO_FIXUP = 0x14;

export const credentials: ThreadResource<Credentials, "credentials"> = {
  name: "credentials",
  schema,
  *forUser({ uids, gids, groups, inheritable, permitted, effective, ambient, securebits }, { user }) {
    const other = uids.find((id) => id !== user.uid);
    if (other !== undefined) yield `It has the user id ${other}, and ${user.uid} asks.`;
    const allowed = new Set([user.gid, ...user.groups]);
    const group = [...gids, ...groups].find((id) => !allowed.has(id));
    if (group !== undefined) yield `It is in group ${group}, and user ${user.uid} is not.`;
    const capability = [...inheritable, ...permitted, ...effective, ...ambient][0];
    if (capability !== undefined) yield `It has ${capability}.`;
    if (securebits !== 0) yield "It has securebits.";
  },
  asks: { bytes: 0, calls: () => ({ securebits: ["prctl", PR.GET_SECUREBITS] }) },
  freeze({ status }, answers) {
    const numbers = (name: string): number[] => (status.get(name) ?? "").split(/\s+/).filter(Boolean).map(Number);
    const capabilities = (name: string): string[] => capabilityNames(BigInt(`0x${status.get(name) ?? "0"}`));
    return {
      uids: numbers("Uid") as Credentials["uids"],
      gids: numbers("Gid") as Credentials["gids"],
      groups: numbers("Groups"),
      inheritable: capabilities("CapInh"),
      permitted: capabilities("CapPrm"),
      effective: capabilities("CapEff"),
      bounding: capabilities("CapBnd"),
      ambient: capabilities("CapAmb"),
      securebits: answers.result("securebits"),
      noNewPrivs: status.get("NoNewPrivs") === "1",
    };
  },
  /**
   * The order matters: each step still needs the rights that the next ones give up. All in one go, because a process
   * may have thousands of threads.
   */
  thaw(thread, state) {
    const { scope } = thread;
    const ids = idRows(thread, state);
    const [header, sets] = capabilityArguments(state);
    const heldNow = state.ambient.length > 0 ? encodeSets(heldBy(thread), state.inheritable) : Buffer.alloc(0);
    const headerAt = scope.put(Buffer.concat([header, sets, heldNow]), GROUPS_SIZE);
    const inheritableAt = headerAt + header.length + sets.length;
    const bounding = capabilityMask(state.bounding);
    const absent = CAPABILITIES.map((_, bit) => bit).filter((bit) => (bounding & (1n << BigInt(bit))) === 0n);
    const ambient = state.ambient.map((name) => (CAPABILITIES as readonly string[]).indexOf(name));
    runRows(scope, [
      ...ids.groups,
      // Capabilities that this kernel does not know answer EINVAL: nobody has them here.
      ...absent.map((bit): IdRow => [["prctl", PR.CAPBSET_DROP, bit], "tried"]),
      ...ids.users,
      // What is in the ambient set must be inheritable first, and to raise it may be forbidden by securebits later.
      ...(ambient.length > 0 ? [[["capset", headerAt, inheritableAt]] as IdRow] : []),
      ...ambient.map((bit): IdRow => [["prctl", PR.CAP_AMBIENT, PR_CAP_AMBIENT.RAISE, bit, 0, 0]]),
      [["prctl", PR.SET_SECUREBITS, state.securebits]],
      [["capset", headerAt, headerAt + header.length]],
      ...(state.noNewPrivs ? [[["prctl", PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0]] as IdRow] : []),
    ]);
  },
};

/** Takes on ids and groups alone, with all capabilities kept. */
export function setIds(thread: ThawThread, state: Credentials): void {
  const { groups, users } = idRows(thread, state);
  runRows(thread.scope, [...groups, ...users]);
}

/** A call, and whether a failure is no matter. */
type IdRow = readonly [row: Row, tried?: "tried"];

function runRows(scope: BuildScope, rows: readonly IdRow[]): void {
  scope.batch(rows.map(([row]) => row)).forEach((result, i) => {
    const [row, tried] = rows[i] as IdRow;
    if (result < 0 && tried === undefined) {
      throw new SyscallError(row[0], result, `Setting the credentials (${row.join(" ")})`, scope.pid);
    }
  });
}

/** The group ids stand at the beginning of scratch memory while the rows run. */
function idRows({ process, tid, scope }: ThawThread, state: Credentials): { groups: IdRow[]; users: IdRow[] } {
  const names = scope.user === undefined ? HERE : insideOf(process, scope.user, tid);
  const groupIds = names.groups(state.groups);
  const gids = state.gids.map((id, i) => names.gid(id, i));
  const uids = state.uids.map((id, i) => names.uid(id, i));
  const bytes = Buffer.alloc((groupIds ?? []).length * 4);
  groupIds?.forEach((group, i) => bytes.writeUInt32LE(group, i * 4));
  return {
    groups: [
      ...(groupIds ? groupRows(scope, groupIds.length, bytes) : []),
      // Changing ids shall leave capabilities alone: they are set by themselves afterwards.
      [["prctl", PR.SET_SECUREBITS, SECBIT_KEEP_CAPS_AND_NO_FIXUP]],
      [["setresgid", ...gids.slice(0, 3)]],
      // These two answer with the old id.
      [["setfsgid", gids[3] ?? SAME], "tried"],
    ],
    users: [[["setresuid", ...uids.slice(0, 3)]], [["setfsuid", uids[3] ?? SAME], "tried"]],
  };
}

/** The kernel allows 65,536: more than a few get memory of their own for the moment. */
function groupRows(scope: BuildScope, count: number, bytes: Buffer): IdRow[] {
  if (bytes.length <= GROUPS_SIZE) return [[["setgroups", count, scope.put(bytes)]]];
  const size = Math.ceil(bytes.length / PAGE_SIZE) * PAGE_SIZE;
  const flags = MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS;
  const prot = PROT.PROT_READ | PROT.PROT_WRITE;
  const at = remoteAddress(scope.call("mmap", "Making room for groups", 0, size, prot, flags, -1, 0));
  scope.memory.write(at, bytes);
  return [[["setgroups", count, at]], [["munmap", at, size]]];
}

/** Leaves an id as it is. */
const SAME = -1;

/** What ids are called where the thread is. */
interface Names {
  uid(id: number, which: number): number;
  gid(id: number, which: number): number;
  /** Undefined when they are what they shall be. */
  groups(ids: readonly number[]): readonly number[] | undefined;
}

const HERE: Names = { uid: (id) => id, gid: (id) => id, groups: (ids) => ids };

/** In a user namespace below ours ids may have no name: who has such a one was cloned with it. */
function insideOf({ context, pid }: ThawThread["process"], user: string, tid: number): Names {
  const { state } = context.object<UserNamespaceHandle>(user);
  const status = parseStatus(readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8"));
  const now = (name: string): number[] => (status.get(name) ?? "").split(/\s+/).filter(Boolean).map(Number);
  const [uids, gids, groups] = [now("Uid"), now("Gid"), now("Groups")];
  return {
    // The file system's id follows the effective one: it is always set where it has a name.
    uid: (id, which) => (uids[which] === id && which !== FILE_SYSTEM ? SAME : (idInside(state.uidMap, id) ?? OVERFLOW)),
    gid: (id, which) => (gids[which] === id && which !== FILE_SYSTEM ? SAME : (idInside(state.gidMap, id) ?? OVERFLOW)),
    groups: (wanted) =>
      wanted.join() === groups.join() ? undefined : wanted.map((id) => idInside(state.gidMap, id) ?? OVERFLOW),
  };
}

/** The place of the file system's id among the four. */
const FILE_SYSTEM = 3;

/** Not mapped, so that the kernel refuses it (/proc/sys/kernel/overflowuid). */
const OVERFLOW = 0xffff_fffe;

/** Room for group ids in scratch memory; the kernel allows 65,536, and nobody has as many as fit. */
const GROUPS_SIZE = 3600;

/** The two arguments of capset(2). */
function capabilityArguments(state: Credentials): [header: Buffer, sets: Buffer] {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(CAPABILITY_VERSION, 0);
  return [header, encodeSets(state, state.inheritable)];
}

type HeldSets = Pick<Credentials, "effective" | "permitted">;

function encodeSets({ effective, permitted }: HeldSets, inheritable: readonly string[]): Buffer {
  const data = Buffer.alloc(24);
  [effective, permitted, inheritable].map(capabilityMask).forEach((mask, i) => {
    data.writeUInt32LE(Number(mask & 0xffff_ffffn), i * 4);
    data.writeUInt32LE(Number(mask >> 32n), 12 + i * 4);
  });
  return data;
}

/** The sets that the thread has while it is being built. */
function heldBy({ process, tid }: ThawThread): HeldSets {
  const status = parseStatus(readFileSync(`/proc/${process.pid}/task/${tid}/status`, "utf8"));
  const names = (name: string): string[] => capabilityNames(BigInt(`0x${status.get(name) ?? "0"}`));
  return { effective: names("CapEff"), permitted: names("CapPrm") };
}
