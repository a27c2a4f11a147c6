/** Who made a socket: what the other end learns from SO_PEERCRED (unix(7)). Only the process itself can be it again. */
import * as v from "valibot";
import { PR } from "../../abi/prctl.ts";
import { SO, SOL } from "../../abi/socket.ts";
import { getOption } from "../../sys/socket.ts";
import type { RemoteScope } from "../../tracee/scope.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import { idInside, type UserNamespaceHandle } from "../namespace/user.ts";
import { SECBIT_KEEP_CAPS_AND_NO_FIXUP } from "../security/credentials.ts";

export const creatorSchema = v.strictObject({ pid: v.number(), uid: v.number(), gid: v.number() });
export type Creator = v.InferOutput<typeof creatorSchema>;

/** What SO_PEERCRED says of the other end (struct ucred). */
export function peerCredentials(file: OpenFile): Creator | undefined {
  const bytes = getOption(file.local, SOL.SOL_SOCKET, SO.SO_PEERCRED, 12);
  if (!bytes || bytes.length < 12 || bytes.readInt32LE(0) === 0) return undefined;
  return { pid: bytes.readInt32LE(0), uid: bytes.readUInt32LE(4), gid: bytes.readUInt32LE(8) };
}

/** Does something in the process that made the socket, with the effective ids that it had then. */
export function asCreator<T>(process: ThawProcess, { uid, gid }: Creator, action: (scope: RemoteScope) => T): T {
  const { scope, context } = process;
  const about = `Acting for process ${process.pid}`;
  const same = -1;
  // In a user namespace of the set they have other names, and the rights do not depend on them.
  const names = scope.user === undefined ? undefined : context.object<UserNamespaceHandle>(scope.user).state;
  const [gidThere, uidThere] = names
    ? [idInside(names.gidMap, gid) ?? same, idInside(names.uidMap, uid) ?? same]
    : [gid, uid];
  if (names) scope.call("prctl", about, PR.SET_SECUREBITS, SECBIT_KEEP_CAPS_AND_NO_FIXUP);
  // Blank processes are root's; the saved ids bring the rights back.
  scope.call("setresgid", about, same, gidThere, same);
  scope.call("setresuid", about, same, uidThere, same);
  try {
    return action(scope);
  } finally {
    scope.attempt("setresuid", same, 0, same);
    scope.attempt("setresgid", same, 0, same);
  }
}
