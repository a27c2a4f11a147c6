/** Whose processes an ordinary user may have frozen: looked at before they are stopped, and again when they stand still. */
import { readFileSync } from "node:fs";
import type { Identity } from "../../sys/identity.ts";
import { checkOwned } from "../../image/user/ownership.ts";
import { checkReach } from "../../image/user/reach.ts";
import type { FrozenState } from "../../image/schema.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { parseStatus } from "../../proc/status.ts";
import { labelOf } from "../../proc/read.ts";
import type { Admit } from "./stopped-set.ts";

/** Nobody else's process stands still for a moment because a user asked. Without a user, all are admitted. */
export function admitting(user: Identity | undefined): Admit | undefined {
  return user && ((pid, command) => admit(user, pid, command));
}

function admit(user: Identity, pid: number, command: string): void {
  // One that has just ended is nobody's.
  const status = parseStatus(orIfGone(() => readFileSync(`/proc/${pid}/status`, "utf8"), ""));
  const uids = (status.get("Uid") ?? "").split(/\s+/).map(Number);
  const other = uids.find((uid) => uid !== user.uid);
  if (uids.length !== 4 || other !== undefined)
    throw failures.NOT_YOURS.process({ pid, command, why: `It has the user id ${other}, and ${user.uid} asks.` });
  // What a security module confines would come back under the label of kmonte.
  if (labelOf(pid) !== labelOf("self"))
    throw failures.NOT_YOURS.process({ pid, command, why: `A security module confines it (${labelOf(pid)}).` });
}

/** What is found when all of it stands still. */
export function refuseForeign(state: FrozenState, user: Identity | undefined): Refusal[] {
  return user ? [...checkOwned(state, user), ...checkReach(state, user)] : [];
}
