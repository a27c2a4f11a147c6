/**
 * Working with a user's rights where paths are concerned (credentials(7), setfsuid(2), setgroups(2)): the kernel itself
 * then decides what may be opened, made and renamed, at the moment when it happens. Only this thread changes, and only
 * its file system ids and groups: signals and tracing stay beyond the user's reach.
 */
import { call, SyscallError, withStruct } from "./call.ts";

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
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
  withStruct(to.groups.length * 4, (bytes, address) => {
    to.groups.forEach((group, i) => bytes.writeUInt32LE(group, i * 4));
    call("setgroups", "Taking a user's groups", to.groups.length, address);
  });
  set("setfsgid", to.gid);
  set("setfsuid", to.uid);
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
