/** All unix sockets of the frozen set together: who is connected to whom can only be seen from above. */
import { sockDiagDump } from "../../../abi/netlink-diag.ts";
import { AF, getInt, SO, SOL } from "../../../abi/socket.ts";
import { S_IF } from "../../../abi/stat.ts";
import { parseUnixDiag, TCP_LISTEN, unixDiagRequest, type UnixSocketInfo } from "../../../proc/unix-diag.ts";
import type { FreezeContext, OpenFile } from "../../contract.ts";
import { peekQueue, type Queue } from "./queue.ts";

export interface SeenSocket {
  readonly id: string;
  readonly file: OpenFile;
  readonly info: UnixSocketInfo;
  readonly queue: Queue | undefined;
}

export interface UnixLook {
  /** Sockets of the set, by inode; those in flight are among them. */
  readonly inside: ReadonlyMap<number, SeenSocket>;
  /** All sockets of the network namespace. */
  readonly everywhere: ReadonlyMap<number, UnixSocketInfo>;
}

export function isUnixSocket(file: OpenFile): boolean {
  return file.stat.type === S_IF.S_IFSOCK && getInt(file.local, SOL.SOL_SOCKET, SO.SO_DOMAIN) === AF.AF_UNIX;
}

const looks = new WeakMap<FreezeContext, UnixLook>();

/** Looks once for the whole set, queues included, because a queue may hold more sockets. */
export function lookAtUnixSockets(context: FreezeContext): UnixLook {
  const known = looks.get(context);
  if (known) return known;
  const everywhere = new Map(
    sockDiagDump(unixDiagRequest())
      .map(parseUnixDiag)
      .map((info) => [info.inode, info]),
  );
  const inside = new Map<number, SeenSocket>();
  const done = new Set<string>();
  for (let found = true; found;) {
    found = false;
    for (const [id, file] of context.openFiles()) {
      if (done.has(id)) continue;
      done.add(id);
      found = true;
      if (!isUnixSocket(file)) continue;
      const info = everywhere.get(Number(file.stat.inode));
      if (!info) continue; // another network namespace: refused when its turn comes
      const queue = info.state === TCP_LISTEN ? undefined : peekQueue(file, info.type);
      inside.set(info.inode, { id, file, info, queue });
    }
  }
  const look = { inside, everywhere };
  looks.set(context, look);
  return look;
}
