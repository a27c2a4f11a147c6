/**
 * `--close-external`: a connection to a process of this machine that stays outside comes back as if that process had
 * ended. Without it, TCP goes on talking to the outside, and a unix socket refuses the freeze.
 */
import { isInRepair } from "../../sys/tcp.ts";
import type { FreezeContext, OpenFile } from "../freeze-context.ts";
import { holderOf } from "./external.ts";
import { isTcpConnection, localAddress, peerAddress, showAddress } from "./inet-common.ts";
import { flowKey, once, tcpSockets, turned } from "./inet-snapshot.ts";
import { tcpFiles } from "./tcp/backlog.ts";

/** Inodes of the TCP connections of the set whose other end a process outside of it has, on this machine. */
function leftOutside(context: FreezeContext): ReadonlySet<bigint> {
  return once(context, "left outside", () => {
    const ours = new Set(tcpFiles(context).map(([, { stat }]) => Number(stat.inode)));
    const theirs = new Map(
      [...tcpSockets(context).byInode.values()]
        .filter(({ inode }) => !ours.has(inode))
        .map((info) => [flowKey(info), info.inode]),
    );
    const left = new Set<bigint>();
    for (const [, file] of tcpFiles(context)) {
      const remote = isTcpConnection(file) && !isInRepair(file.local) ? peerAddress(file.local) : undefined;
      const inode = remote && theirs.get(flowKey(turned({ local: localAddress(file.local), remote })));
      if (!remote || inode === undefined) continue;
      noteClosed(file, `connection to ${showAddress(remote)}`, inode);
      left.add(file.stat.inode);
    }
    return left;
  });
}

export function isClosedExternal(file: OpenFile): boolean {
  return file.context.closeExternal && leftOutside(file.context).has(file.stat.inode);
}

export function noteClosed({ context, pid, command, fd }: OpenFile, what: string, inode: number | undefined): void {
  const holder = inode === undefined ? undefined : holderOf(inode);
  const other = holder ? `process ${holder.pid} (${holder.command})` : "a process";
  context.note(
    `The ${what} of ${command} (${pid}), descriptor ${fd}, comes back closed: ${other} outside has the other end.`,
  );
}
