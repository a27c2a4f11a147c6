/**
 * Working with a user's rights where paths are concerned (credentials(7), setfsuid(2), setgroups(2)): the kernel itself
 * then decides what may be opened, made and renamed, at the moment when it happens. Only this thread changes, and only
 * its file system ids and groups: signals and tracing stay beyond the user's reach.
 */
import { CAPABILITY_VERSION } from "../abi/capability.ts";
import { SyscallError, call, withStruct } from "./call.ts";

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
}

/** Whose rights a process has where files are concerned. */
export interface Rights extends Identity {
  /** The effective capabilities that count in the user namespace of kmonte (capabilities(7)). */
  readonly capabilities: bigint;
}

/** NGROUPS_MAX (limits.h). */
const MOST_GROUPS = 65_536;
/** An id that nobody has: these calls then only answer what the present one is. */
const NOBODY = 0xffff_ffff;

/** Whose rights this thread uses now; undefined for those that it was started with. */
let now: Identity | undefined;
let own: Identity | undefined;

/** Runs `action` with the file access of `user`; without one, as it is now. */
export function asUser<T>(user: Identity | undefined, action: () => T): T {
  return user === undefined ? action() : become(user, action);
}

/** Whether this thread works with a user's rights now. */
export function isForUser(): boolean {
  return now !== undefined;
}

/** The user of {@link asUser}, if any. */
export function userNow(): Identity | undefined {
  return now;
}

/** Runs `action` with our own rights again, within {@link asUser}: for what concerns only us and our tracees in /proc. */
export function asOurselves<T>(action: () => T): T {
  return now === undefined ? action() : become(undefined, action);
}

function become<T>(user: Identity | undefined, action: () => T): T {
  own ??= present();
  const before = now;
  change(user ?? own);
  now = user;
  try {
    return action();
  } finally {
    change(before ?? own);
    now = before;
  }
}

/**
 * Runs `action` as nobody but the user of {@link asUser}, without any right of ours: file system ids do for most, but
 * some files look at the effective ids and capabilities of who opens them (sysctls), and remember them.
 */
export function asUserAlone<T>(action: () => T): T {
  if (now === undefined) return action();
  const user = now;
  call("setresgid", "Taking a user's rights", SAME, user.gid, SAME);
  call("setresuid", "Taking a user's rights", SAME, user.uid, SAME);
  try {
    return action();
  } finally {
    // The saved id brings our rights back, and with them these go back to ours.
    call("setresuid", "Taking our rights back", SAME, 0, SAME);
    call("setresgid", "Taking our rights back", SAME, 0, SAME);
    change(user);
  }
}

/**
 * Runs `action` with the rights of a process, as far as they are not more than ours: its file system ids and groups,
 * and no capability that it does not have itself. Not within {@link asUser}, where there are fewer rights already.
 */
export function withRights<T>(rights: Rights, action: () => T): T {
  if (now !== undefined) return action();
  own ??= present();
  const outer = held;
  if (outer) giveBack();
  take(rights);
  held = rights;
  try {
    return action();
  } finally {
    giveBack();
    if (outer) take(outer);
    held = outer;
  }
}

/** Runs `action` with our own rights again, within {@link withRights}. */
export function withOurRights<T>(action: () => T): T {
  const outer = held;
  if (outer === undefined) return action();
  giveBack();
  held = undefined;
  try {
    return action();
  } finally {
    take(outer);
    held = outer;
  }
}

/** Those of {@link withRights}. */
let held: Rights | undefined;

function take(rights: Rights): void {
  const permitted = permittedNow();
  groupsOf(rights);
  call("setresgid", "Taking the rights of a process", SAME, rights.gid, SAME);
  call("setresuid", "Taking the rights of a process", SAME, rights.uid, SAME);
  setEffective(rights.capabilities & permitted, permitted);
}

/** The saved id brings our capabilities back; who was root all the time raises them again. */
function giveBack(): void {
  const permitted = permittedNow();
  call("setresuid", "Taking our rights back", SAME, 0, SAME);
  setEffective(permitted, permitted);
  call("setresgid", "Taking our rights back", SAME, 0, SAME);
  change(own as Identity);
}

/** The permitted capabilities of this thread. */
function permittedNow(): bigint {
  return withStruct(HEADER_SIZE + SETS_SIZE, (bytes, address) => {
    bytes.writeUInt32LE(CAPABILITY_VERSION, 0);
    call("capget", "Asking for our capabilities", address, address + HEADER_SIZE);
    const word = (at: number): bigint => BigInt(bytes.readUInt32LE(HEADER_SIZE + at));
    return word(4) | (word(16) << 32n);
  });
}

/** struct __user_cap_header_struct, and two of struct __user_cap_data_struct: effective, permitted, inheritable. */
const HEADER_SIZE = 8;
const SETS_SIZE = 24;

function setEffective(effective: bigint, permitted: bigint): void {
  withStruct(HEADER_SIZE + SETS_SIZE, (bytes, address) => {
    bytes.writeUInt32LE(CAPABILITY_VERSION, 0);
    [effective, permitted].forEach((mask, i) => {
      bytes.writeUInt32LE(Number(mask & 0xffff_ffffn), HEADER_SIZE + i * 4);
      bytes.writeUInt32LE(Number(mask >> 32n), HEADER_SIZE + 12 + i * 4);
    });
    call("capset", "Taking the rights of a process", address, address + HEADER_SIZE);
  });
}

/**
 * Runs `action` as somebody with these real and effective ids: some calls write down who makes them. The saved id brings
 * our rights back, and setresuid(2) takes the file system id along: within {@link asUser} it is the user's again.
 */
export function withIds<T>(uid: number, euid: number, action: () => T): T {
  call("setresuid", "Taking a user's ids", uid, euid, 0);
  try {
    return action();
  } finally {
    call("setresuid", "Taking our ids back", 0, 0, SAME);
    if (now !== undefined) change(now);
  }
}

/** setresuid(2): the id stays as it is. */
const SAME = -1;

/** Groups first: changing them needs no right over files, and back again neither. */
function change(to: Identity): void {
  groupsOf(to);
  set("setfsgid", to.gid);
  set("setfsuid", to.uid);
}

function groupsOf({ groups }: Identity): void {
  withStruct(groups.length * 4, (bytes, address) => {
    groups.forEach((group, i) => bytes.writeUInt32LE(group, i * 4));
    call("setgroups", "Taking a user's groups", groups.length, address);
  });
}

/** They answer the id of before, and never an error: only asking again tells. */
function set(name: "setfsuid" | "setfsgid", id: number): void {
  call(name, "Taking a user's rights", id);
  const got = ask(name);
  if (got !== id) throw new SyscallError(name, -1, "Taking a user's rights");
}

function ask(name: "setfsuid" | "setfsgid"): number {
  return call(name, "Asking for our rights", NOBODY) >>> 0;
}

function present(): Identity {
  return withStruct(MOST_GROUPS * 4, (bytes, address) => {
    const count = call("getgroups", "Asking for our groups", MOST_GROUPS, address);
    const groups = Array.from({ length: count }, (_, i) => bytes.readUInt32LE(i * 4));
    return { uid: ask("setfsuid"), gid: ask("setfsgid"), groups };
  });
}
