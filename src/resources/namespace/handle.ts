/** What the namespaces of a set have in common: who they belong to, and what their processes enter them by. */
import * as v from "valibot";
import { makeNamespace, within } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";

/** Who has a namespace: a process that lives there, or an open file. */
export type Holder = Pick<FreezeProcess, "pid" | "task" | "command" | "context">;

export interface NamespaceHandle {
  /** Keeps the namespace alive until the thaw has ended; setns(2) takes it. */
  readonly fd: LocalFd;
}

/** The user namespace that it belongs to, as an object; absent: that of kmonte. */
export const ownerSchema = v.optional(v.string());

/** Makes a namespace; `fill` runs inside. */
export function newNamespace(
  context: ThawContext,
  type: "ipc" | "net" | "uts",
  owner: string | undefined,
  fill: () => void,
): NamespaceHandle {
  const fd = bareNamespace(context, type, owner);
  within(type, fd, fill);
  return { fd };
}

/** A new namespace as the kernel makes it. */
export function bareNamespace(context: ThawContext, type: "ipc" | "net" | "uts", owner: string | undefined): LocalFd {
  if (owner === undefined) return context.keep(makeNamespace(type));
  // Made first: those above take processes of their own.
  context.object(owner);
  return context.userNamespaces.owned(owner, type);
}
