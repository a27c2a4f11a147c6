/**
 * Building a mount namespace: the mounts are made where we are, unattached, and put together below a folder of a copy of
 * our namespace, whose root it then becomes. Unattached mounts can be carried into a namespace of other owners.
 */
import { closeSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  attachMount,
  cloneMount,
  inMountNamespace,
  makeFileSystem,
  mount,
  mountFlags,
  MS,
  pivotTo,
} from "../../abi/mount.ts";
import { within } from "../../abi/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../contract.ts";
import type { NamespaceHandle } from "./handle.ts";
import { unpackTree } from "./mount-contents.ts";
import type { MountNamespaceHandle, MountState } from "./mount.ts";

const PROPAGATION = { private: MS.PRIVATE, shared: MS.SHARED, slave: MS.SLAVE, unbindable: MS.UNBINDABLE } as const;

export function buildMounts(
  mounts: readonly MountState[],
  owner: string | undefined,
  context: ThawContext,
): MountNamespaceHandle {
  if (owner !== undefined) context.object(owner);
  const there = owner === undefined ? undefined : context.users.owned(owner, "mnt");
  const stage = mkdtempSync(join(tmpdir(), "kmonte-root-"));
  try {
    const { fd, root } = inMountNamespace(there, (outside) => {
      // Nothing of ours may reach the machine, but what it mounts shall reach whoever followed it before.
      mount("none", "/", "", MS.REC | MS.SLAVE, "");
      // One after the other: /proc/PID/mountinfo shows them in the order in which they were made.
      mounts.forEach((state) => {
        const target = join(stage, state.at);
        const { from } = state;
        if ("same" in from) mount(join(stage, mounts[from.same]?.at ?? "/", from.path), target, "", MS.BIND, "");
        else {
          const unattached = outside(() => makeMount(from, context));
          attachMount(unattached, target);
          closeSync(unattached);
        }
        if ("type" in from && from.contents !== undefined) unpackTree(context.blob(from.contents), target);
        if (state.propagation === "slave") mount("none", target, "", MS.SLAVE, "");
        else mount("none", target, "", PROPAGATION[state.propagation], "");
      });
      for (const { at, options } of mounts.toReversed()) {
        mount("none", join(stage, at), "", MS.REMOUNT | MS.BIND | mountFlags(options), "");
      }
      pivotTo(stage);
    });
    return { fd: context.keep(fd), root: context.keep(root) };
  } finally {
    rmdirSync(stage);
  }
}

/** The mount itself, attached nowhere. */
function makeMount(from: Exclude<MountState["from"], { same: number }>, context: ThawContext): LocalFd {
  if ("bind" in from) return cloneMount(from.bind);
  const options = from.options.split(",").filter(Boolean);
  if (from.process !== undefined) return context.users.proc(from.process, options);
  const make = (): LocalFd => makeFileSystem(from.type, from.source, options);
  if (from.namespace === undefined) return make();
  const { fd } = context.object<NamespaceHandle>(from.namespace);
  return within(from.type === "sysfs" ? "net" : "ipc", fd, make);
}
