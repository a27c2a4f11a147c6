/** All unix sockets of the frozen set together: who is connected to whom can only be seen from above. */
import { Memo } from "../../memo.ts";
import { closeSync } from "node:fs";
import { nameOfNamespace, openSocketNamespace, within } from "../../../sys/namespaces.ts";
import { sockDiagDump } from "../../../sys/netlink-diag.ts";
import { AF, SO, SOL } from "../../../abi/socket.ts";
import { getInt } from "../../../sys/socket.ts";
import { S_IF } from "../../../abi/stat.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { parseUnixDiag, TCP_LISTEN, unixDiagRequest, type UnixSocketInfo } from "../../../proc/unix-diag.ts";
import type { FreezeContext, OpenFile } from "../../freeze-context.ts";
import { peekQueue, type Queue } from "../receive-queue.ts";

export interface SeenSocket {
  readonly id: string;
  readonly file: OpenFile;
  readonly info: UnixSocketInfo;
  readonly queue: Queue | undefined;
}

export interface UnixLook {
  /** Sockets of the set, by inode; those in flight are among them. */
  readonly inside: ReadonlyMap<number, SeenSocket>;
  /** All sockets of the network namespace of kmonte, and of each that a socket of the set belongs to. */
  readonly everywhere: ReadonlyMap<number, UnixSocketInfo>;
}

export function isUnixSocket(file: OpenFile): boolean {
  return file.stat.type === S_IF.S_IFSOCK && getInt(file.local, SOL.SOL_SOCKET, SO.SO_DOMAIN) === AF.AF_UNIX;
}

/** The sockets of the whole set, looked at once. */
export const lookAtUnixSockets = (context: FreezeContext): UnixLook => context.memo(looks);

const looks = new Memo(lookAtAll);

/** Queues included, because a queue may hold more sockets. */
function lookAtAll(context: FreezeContext): UnixLook {
  const everywhere = new Map(dumpHere());
  const namespaces = new Set<string>();
  const inside = new Map<number, SeenSocket>();
  const done = new Set<string>();
  for (let found = true; found;) {
    found = false;
    for (const [id, file] of context.openFiles()) {
      if (done.has(id)) continue;
      done.add(id);
      found = true;
      if (!isUnixSocket(file)) continue;
      const inode = Number(file.stat.inode);
      if (!everywhere.has(inode)) for (const one of dumpAround(file.local, namespaces)) everywhere.set(...one);
      const info = everywhere.get(inode);
      if (!info) continue; // of a namespace that cannot be entered: refused when its turn comes
      const queue = info.state === TCP_LISTEN ? undefined : peekQueue(file, info.type);
      inside.set(info.inode, { id, file, info, queue });
    }
  }
  return { inside, everywhere };
}

/** The unix sockets of this thread's network namespace, by inode; inodes are those of the whole machine. */
function dumpHere(): [inode: number, info: UnixSocketInfo][] {
  return sockDiagDump(unixDiagRequest())
    .map(parseUnixDiag)
    .map((info) => [info.inode, info]);
}

/** Those of the namespace that a socket belongs to; none of one that is in `done`, where it is noted. */
function dumpAround(socket: LocalFd, done: Set<string>): [inode: number, info: UnixSocketInfo][] {
  const namespace = openSocketNamespace(socket);
  if (namespace === undefined) return [];
  try {
    const name = nameOfNamespace(namespace);
    if (done.has(name)) return [];
    done.add(name);
    return within("net", namespace, dumpHere);
  } finally {
    closeSync(namespace);
  }
}
