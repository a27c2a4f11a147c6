/**
 * Building a mount namespace: the mounts are put together below a folder of a copy of ours, whose root it then becomes.
 */
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attachMount, FSCONFIG, makeMountNamespace, mount, mountFlags, MS, pivotTo } from "../../abi/mount.ts";
import { within } from "../../abi/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { ThawContext } from "../contract.ts";
import type { NamespaceHandle } from "./handle.ts";
import { unpackTree } from "./mount-contents.ts";
import type { MountNamespaceHandle, MountState } from "./mount.ts";

type OwnFileSystem = Extract<MountState["from"], { type: string }>;

const PROPAGATION = { private: MS.PRIVATE, shared: MS.SHARED, slave: MS.SLAVE, unbindable: MS.UNBINDABLE } as const;

export function buildMounts(mounts: readonly MountState[], context: ThawContext): MountNamespaceHandle {
  // Made by the processes whose ids they show, before this thread goes where it cannot see them.
  const procs = mounts.map(({ from }) =>
    "type" in from && from.process !== undefined ? mountProc(from, from.process, context) : undefined,
  );
  const namespaces = mounts.map(({ from }) =>
    "type" in from && from.namespace !== undefined ? context.object<NamespaceHandle>(from.namespace).fd : undefined,
  );
  const stage = mkdtempSync(join(tmpdir(), "kmonte-root-"));
  try {
    const { fd, root } = makeMountNamespace(() => {
      // Nothing of ours may reach the machine, but what it mounts shall reach whoever followed it before.
      mount("none", "/", "", MS.REC | MS.SLAVE, "");
      mounts.forEach((state, index) => {
        const target = join(stage, state.at);
        const { from } = state;
        if ("bind" in from) mount(from.bind, target, "", MS.BIND, "");
        else if ("same" in from) mount(join(stage, mounts[from.same]?.at ?? "/", from.path), target, "", MS.BIND, "");
        else mountOwn(from, target, procs[index], namespaces[index], context);
        if (state.propagation !== "slave") mount("none", target, "", PROPAGATION[state.propagation], "");
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

function mountOwn(
  from: OwnFileSystem,
  target: string,
  proc: LocalFd | undefined,
  namespace: LocalFd | undefined,
  context: ThawContext,
): void {
  if (proc !== undefined) {
    attachMount(proc, target);
    return;
  }
  const make = (): void => mount(from.source, target, from.type, 0, from.options);
  if (namespace === undefined) make();
  else within(from.type === "sysfs" ? "net" : "ipc", namespace, make);
  if (from.contents !== undefined) unpackTree(context.blob(from.contents), target);
}

/** proc(5) shows the pid namespace of whoever opens the file system. */
function mountProc(from: OwnFileSystem, pid: number, context: ThawContext): LocalFd {
  const process = context.process(pid);
  if (!process) throw new RangeError(`no process ${pid} for a proc file system`);
  const { scope } = process;
  const about = "Mounting proc";
  const file = scope.call("fsopen", about, scope.put(Buffer.from("proc\0")), 0);
  for (const option of from.options.split(",").filter(Boolean)) {
    const [key = "", value] = option.split("=");
    const name = scope.put(Buffer.from(`${key}\0`));
    if (value === undefined) scope.call("fsconfig", about, file, FSCONFIG.SET_FLAG, name, 0, 0);
    else scope.call("fsconfig", about, file, FSCONFIG.SET_STRING, name, scope.put(Buffer.from(`${value}\0`), 256), 0);
  }
  scope.call("fsconfig", about, file, FSCONFIG.CMD_CREATE, 0, 0, 0);
  const made = scope.call("fsmount", about, file, 0, 0);
  const local = context.keep(process.fetch(made));
  for (const fd of [file, made]) scope.call("close", about, fd);
  return local;
}
