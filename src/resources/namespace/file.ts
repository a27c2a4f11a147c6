/** A namespace that is held open (namespaces(7)): that of a process of the set, or the one that kmonte lives in. */
import { livingThread, procPath } from "../../sys/task.ts";
import * as v from "valibot";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { existsSync } from "../../sys/files.ts";
import { nameOfNamespace, namespaceOf } from "../../sys/namespaces.ts";
import { O } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { stat } from "../../sys/stat.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import type { NamespaceHandle } from "./handle.ts";
import { CARRIED, namespaceObject } from "./own.ts";
import { userObject } from "./user.ts";
import { reopen } from "../file/reopen.ts";
import { openPath } from "../file/path-file.ts";

const TYPES = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] as const;

const schema = v.strictObject({
  type: v.picklist(TYPES),
  /** A process of the set that lives in it; absent: it is the one of the machine. */
  process: v.optional(v.number()),
  /** A namespace that no process lives in. */
  object: v.optional(v.string()),
  /** Where it is mounted, in a mount namespace of the set. */
  path: v.optional(v.string()),
});

const LINK = new RegExp(String.raw`^(${TYPES.join("|")}):\[\d+\]$`);

export const namespaceFile: FileKind<v.InferOutput<typeof schema>, "namespace"> = {
  name: "namespace",
  schema,
  recognise: (file) => LINK.test(file.link) || file.stat.device === stat("/proc/self/ns/uts").device,
  freeze(file) {
    const local = readable(file);
    const name = nameOfNamespace(local);
    const type = LINK.exec(name)?.[1] as (typeof TYPES)[number];
    // Whose clocks went on with the machine's has a time namespace of its own after the thaw.
    if (type === "time" && namespaceOf(file.task, type) === name) return { type, process: file.pid };
    if (namespaceOf("self", type) === name) return { type };
    // By a mount that is made again with its namespace.
    if (file.link.startsWith("/") && isMountOwn(file)) return { type, path: file.link };
    const tasks = [[file.pid, file.task] as const, ...file.context.tasks];
    const process = tasks.find(([, task]) => namespaceOf(task, type) === name)?.[0];
    if (process !== undefined) return { type, process };
    // The machine's own, by the mount that keeps it (ip-netns(8)).
    if (file.link.startsWith("/") && isStillNamed(file)) return { type, path: file.link };
    const object = emptyNamespace(file, local, type);
    if (object === undefined) throw failures.NAMESPACE_FILE.unknown({ file });
    return { type, object };
  },
  check({ path }) {
    if (path === undefined || existsSync(OWN_VIEW.at(path))) return undefined;
    return failures.FILE_MISSING.namespace({ path });
  },
  thaw({ type, process, object, path }, context, flags) {
    const how = flags & O.O_PATH;
    if (path !== undefined) return reopen(context, { path }, how);
    if (object === undefined)
      return openPath(procPath(process === undefined ? "self" : livingThread(process), `ns/${type}`), how);
    return openPath(`/proc/self/fd/${context.object<NamespaceHandle>(object).fd}`, how);
  },
};

function isStillNamed({ context, link, stat: { device, inode } }: OpenFile): boolean {
  const found = orIfGone(() => stat(context.mounts.at(link)), undefined);
  return found?.device === device && found.inode === inode;
}

/** One that the descriptor alone keeps. */
function emptyNamespace(file: OpenFile, local: LocalFd, type: (typeof TYPES)[number]): string | undefined {
  if (type === "user") return userObject(file.context, local);
  const carried = CARRIED.find((one) => one === type);
  return carried && namespaceObject(file, carried, local);
}

/** A descriptor of O_PATH answers no questions. */
function readable({ context, info, local }: OpenFile): LocalFd {
  return (info.flags & O.O_PATH) === 0 ? local : context.keep(openPath(`/proc/self/fd/${local}`, 0));
}

function isMountOwn({ context, task, fd }: OpenFile): boolean {
  return context.placeOf(task, procPath(task, `fd/${fd}`)) !== undefined;
}
