/**
 * IPC namespaces (ipc_namespaces(7)): their limits and the objects that stand in them (sysvipc(7)), which belong to no
 * process. Message queues of POSIX (mq_overview(7)) are refused.
 */
import { closeSync, readdirSync } from "node:fs";
import * as v from "valibot";
import { attempt, withText } from "../../abi/call.ts";
import { within } from "../../abi/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { Refusal } from "../../lib/errors.ts";
import type { FreezeProcess, ObjectKind } from "../contract.ts";
import { newNamespace, ownerSchema, type NamespaceHandle } from "./handle.ts";
import { readSysctl, writeSysctls } from "./sysctls.ts";
import { freezeSysv, sysvSchema, thawSysv } from "./sysv.ts";

const schema = v.strictObject({
  kind: v.literal("ipc-namespace"),
  owner: ownerSchema,
  /** By their path under /proc/sys. */
  sysctls: v.record(v.string(), v.string()),
  sysv: sysvSchema,
});
type IpcState = v.InferOutput<typeof schema>;

/** Settings of proc_sys_kernel(5) and mq_overview(7) that an IPC namespace has for itself. */
const SETTINGS = [
  ...["shmmax", "shmall", "shmmni", "shm_rmid_forced", "msgmax", "msgmnb", "msgmni", "sem"].map(
    (name) => `kernel/${name}`,
  ),
  ...["queues_max", "msg_max", "msgsize_max", "msg_default", "msgsize_default"].map((name) => `fs/mqueue/${name}`),
];

export function freezeIpc(namespace: LocalFd, { pid, command, context }: FreezeProcess): IpcState {
  return within("ipc", namespace, () => {
    const objects = messageQueues();
    if (objects.length > 0) throw cannotCarry(pid, command, objects);
    const sysctls: Record<string, string> = {};
    for (const setting of SETTINGS) {
      const value = readSysctl(setting);
      if (value !== undefined) sysctls[setting] = value;
    }
    return { kind: "ipc-namespace", sysctls, sysv: freezeSysv(context) };
  });
}

export const ipcNamespace: ObjectKind<IpcState, NamespaceHandle> = {
  name: "ipc-namespace",
  schema,
  thaw(state, context) {
    const handle = newNamespace(context, "ipc", state.owner, () => writeSysctls(state.sysctls));
    // The processes have entered by then: the kernel notes who makes what.
    context.whenOpen(() => within("ipc", handle.fd, () => thawSysv(state.sysv, context)));
    return handle;
  },
};

/** The mqueue file system shows the queues of the namespace in which it was opened. */
function messageQueues(): string[] {
  const context = withText("mqueue", (name) => attempt("fsopen", name, FSOPEN_CLOEXEC));
  if (context < 0) return [];
  try {
    if (attempt("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0) < 0) return [];
    const mount = attempt("fsmount", context, FSMOUNT_CLOEXEC, 0);
    if (mount < 0) return [];
    try {
      return readdirSync(`/proc/self/fd/${mount}`).map((name) => `POSIX message queue /${name}`);
    } finally {
      closeSync(mount);
    }
  } finally {
    closeSync(context);
  }
}

/** include/uapi/linux/mount.h */
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

function cannotCarry(pid: number, command: string, objects: readonly string[]): Refusal {
  return new Refusal(
    "IPC_NAMESPACE_OBJECTS",
    {
      what: `The IPC namespace of process ${pid} (${command}) holds objects that cannot be carried.`,
      why: `It has ${objects.join(", ")}.`,
      remedy: "Let the program remove them first (ipcrm(1), mq_unlink(3)).",
    },
    { pid, command, resource: "ipc-namespace" },
  );
}
