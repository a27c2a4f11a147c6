/**
 * IPC namespaces (ipc_namespaces(7)): their limits and the objects that stand in them (sysvipc(7)), which belong to no
 * process. Message queues of POSIX (mq_overview(7)) come along with their messages.
 */
import { TIMES_OF_SYSV } from "./sysv-common.ts";
import * as v from "valibot";
import { within } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { ObjectKind } from "../contract.ts";
import { newNamespace, ownerSchema, type Holder, type NamespaceHandle } from "../namespace/handle.ts";
import { readSysctl, writeSysctls } from "../namespace/sysctls.ts";
import { freezeQueues, queuesSchema, thawQueues } from "./mqueues.ts";
import { freezeSysv, sysvSchema, thawSysv } from "./sysv.ts";

const schema = v.strictObject({
  kind: v.literal("ipc-namespace"),
  owner: ownerSchema,
  /** By their path under /proc/sys. */
  sysctls: v.record(v.string(), v.string()),
  sysv: sysvSchema,
  /** Message queues of POSIX. */
  queues: v.optional(queuesSchema),
});
type IpcState = v.InferOutput<typeof schema>;

/** Settings of proc_sys_kernel(5) and mq_overview(7) that an IPC namespace has for itself. */
const SETTINGS = [
  ...["shmmax", "shmall", "shmmni", "shm_rmid_forced", "msgmax", "msgmnb", "msgmni", "sem"].map(
    (name) => `kernel/${name}`,
  ),
  ...["queues_max", "msg_max", "msgsize_max", "msg_default", "msgsize_default"].map((name) => `fs/mqueue/${name}`),
];

export function freezeIpc(namespace: LocalFd, { pid, command, context }: Holder): IpcState {
  return within("ipc", namespace, () => {
    const { queues, awaited } = freezeQueues();
    if (awaited.length > 0)
      throw failures.IPC_NAMESPACE_OBJECTS({
        pid,
        command,
        queues: awaited.map((name) => `the POSIX queue /${name}`).join(", "),
      });
    const sysctls: Record<string, string> = {};
    for (const setting of SETTINGS) {
      const value = readSysctl(setting);
      if (value !== undefined) sysctls[setting] = value;
    }
    return { kind: "ipc-namespace", sysctls, sysv: freezeSysv(context), ...(queues.length > 0 && { queues }) };
  });
}

export const ipcNamespace: ObjectKind<IpcState, NamespaceHandle, "ipc-namespace"> = {
  name: "ipc-namespace",
  hasPath: false,
  schema,
  differs: [{ what: TIMES_OF_SYSV, met: ({ sysv }) => Object.values(sysv).some(({ length }) => length > 0) }],
  needs: () => [{ option: "CONFIG_IPC_NS", what: "ipc_namespaces(7)" }],
  thaw(state, context) {
    const handle = newNamespace(context, "ipc", state.owner, () => {
      writeSysctls(state.sysctls);
      thawQueues(state.queues ?? []);
    });
    // The processes have entered by then: the kernel notes who makes what.
    context.during("fill", () => within("ipc", handle.fd, () => thawSysv(state.sysv, context)));
    return handle;
  },
};
