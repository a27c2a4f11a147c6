/**
 * Namespaces of the set's own as objects of the image: those that its processes live in, those that they hold by a
 * descriptor or a mount alone, and those that a device leads to.
 */
import { Memo } from "../memo.ts";
import { closeSync } from "node:fs";

import { readFileSync, readdirSync, readlinkSync } from "../../sys/files.ts";
import { nameOfNamespace, namespaceOf, openNamespace, within } from "../../sys/namespaces.ts";
import { procPath } from "../../sys/task.ts";
import { namespaceId } from "../../sys/rtnetlink.ts";
import type { LocalFd, Pid, Task } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { parseMountInfo } from "../../proc/mountinfo.ts";
import { mountsOf } from "../../proc/mounts.ts";
import { namespaceOutside, readdirOrEmpty, readStat } from "../../proc/read.ts";
import type { FreezeContext, ObjectState } from "../freeze-context.ts";
import { openPath } from "../file/path-file.ts";
import { freezeCgroupNamespace } from "../cgroup/namespace.ts";
import type { Holder } from "./handle.ts";
import { freezeIpc } from "../ipc/namespace.ts";
import { freezeMounts } from "../mount/namespace.ts";
import { listLinks } from "../net/links.ts";
import { freezeNet } from "../net/namespace.ts";
import { ownerObject } from "./user.ts";
import { freezeUts } from "./uts.ts";

/** As /proc/PID/ns names them. The namespaces that a mount shows come before it. */
export const CARRIED = ["uts", "ipc", "net", "cgroup", "mnt"] as const;
export type Carried = (typeof CARRIED)[number];

const FREEZE: Record<Carried, (namespace: LocalFd, holder: Holder) => ObjectState> = {
  uts: (namespace: LocalFd) => freezeUts(namespace),
  ipc: freezeIpc,
  net: (namespace: LocalFd, holder: Holder) => freezeNet(namespace, holder, (netnsid) => atOtherEnd(holder, netnsid)),
  cgroup: freezeCgroupNamespace,
  mnt: (namespace: LocalFd, holder: Holder) => freezeMounts(namespace, holder, namespaceObject),
};

/** Those that are being looked at: two network namespaces may lead to each other. */
const begun = new Memo(() => new Set<string>());

/** Notes a namespace that is not kmonte's as an object of the set; returns its id. */
export function namespaceObject(holder: Holder, type: Carried, namespace: LocalFd): string {
  const { context } = holder;
  const id = nameOfNamespace(namespace);
  const now = context.memo(begun);
  if (now.has(id)) return id;
  now.add(id);
  try {
    return context.object(id, () => {
      const sharer = outsiderIn(holder, type, id);
      if (sharer !== undefined) context.refuse(sharedWith(holder, type, id, sharer));
      const owner = ownerObject(context, namespace);
      return { ...FREEZE[type](namespace, holder), ...(owner !== undefined && { owner }) };
    });
  } finally {
    now.delete(id);
  }
}

/** The namespace of the set that the one of this thread knows by a netnsid, and the devices in it. */
function atOtherEnd(
  holder: Holder,
  netnsid: number,
): { name: string; links: ReturnType<typeof listLinks> } | undefined {
  for (const fd of netNamespacesOf(holder.context)) {
    try {
      if (namespaceId(fd) !== netnsid) continue;
      const links = within("net", fd, listLinks);
      return { name: namespaceObject(holder, "net", fd), links };
    } finally {
      closeSync(fd);
    }
  }
  return undefined;
}

/** Every network namespace that a process of the set lives in, holds or shows; the caller closes what it gets. */
function* netNamespacesOf({ tasks }: FreezeContext): Generator<LocalFd> {
  const seen = new Set([namespaceOf("self", "net")]);
  // Those that the machine shows are the machine's (ip-netns(8)), unless somebody of the set lives there.
  const ours = parseMountInfo(readFileSync("/proc/self/mountinfo", "utf8"));
  const machines = new Set(ours.flatMap(({ type, root }) => (type === "nsfs" ? [root] : [])));
  const isNew = (name: string | undefined): boolean => {
    if (name === undefined || !name.startsWith("net:[") || seen.has(name)) return false;
    seen.add(name);
    return true;
  };
  for (const task of tasks.values()) if (isNew(namespaceOf(task, "net"))) yield openNamespace(task, "net");
  for (const task of tasks.values()) {
    for (const fd of readdirOrEmpty(procPath(task, "fd"))) {
      const path = procPath(task, `fd/${fd}`);
      if (isNew(orIfGone(() => readlinkSync(path), undefined))) yield openPath(path, 0);
    }
    for (const { type, root, mountPoint } of mountsOf(task)) {
      if (type === "nsfs" && !machines.has(root) && isNew(root)) yield openPath(procPath(task, `root${mountPoint}`), 0);
    }
  }
}

/**
 * A process outside the set that lives in the namespace too: it would stay behind in the old one. Whoever started a
 * container, as unshare(1) does, and waits for its init may: it has no business inside.
 */
export function outsiderIn({ context }: Holder, type: string, wanted: string): number | undefined {
  const waiting = new Set(
    [...context.tasks]
      .filter(([member, task]) => leadsContainer(member, task, context))
      .flatMap(([init]) => ancestorsOf(init)),
  );
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => !context.pids.has(other) && !waiting.has(other))
    .find((other) => namespaceOutside(other, type) === wanted);
}

/** The init of a pid namespace, whose parent is left out. */
function leadsContainer(pid: Pid, task: Task, { pids }: FreezeContext): boolean {
  const parent = readStat(pid)?.ppid ?? 0;
  return !pids.has(parent) && namespaceOf(task, "pid") !== namespaceOutside(parent, "pid");
}

function ancestorsOf(pid: number): number[] {
  const parent = readStat(pid)?.ppid ?? 0;
  return parent === 0 ? [] : [parent, ...ancestorsOf(parent)];
}

export function sharedWith({ pid, command }: Holder, type: string, name: string, other: number): Refusal {
  return failures.NAMESPACE_SHARED({ pid, command, type, other, name });
}
