/** All TCP sockets of a network namespace, at one moment: those of the set, and those that no process has. */
import { Memo } from "../memo.ts";
import { networkHere } from "../../sys/namespaces.ts";
import { sockDiagDump } from "../../sys/netlink-diag.ts";
import { AF, IPPROTO } from "../../abi/socket.ts";
import { inetDiagRequest, parseInetDiag, plainEnd, type InetSocketInfo } from "../../proc/inet-diag.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { Flow } from "./quarantine/rules.ts";

export interface TcpSockets {
  readonly byInode: ReadonlyMap<number, InetSocketInfo>;
  /** Connections that no process has: closed, or not accepted yet. */
  readonly unheld: ReadonlyMap<string, InetSocketInfo>;
}

export const flowKey = ({ local, remote }: Flow): string => `${plainEnd(local)} ${plainEnd(remote)}`;
export const turned = ({ local, remote }: Flow): Flow => ({ local: remote, remote: local });

export function dumpSockets(protocol: number, states?: number): InetSocketInfo[] {
  return [AF.AF_INET, AF.AF_INET6].flatMap((family) =>
    sockDiagDump(inetDiagRequest(family, protocol, states)).map(parseInetDiag),
  );
}

export function dumpTcp(states?: number): InetSocketInfo[] {
  return dumpSockets(IPPROTO.IPPROTO_TCP, states);
}

/** The namespace that this thread is in. */
export function tcpSockets(context: FreezeContext): TcpSockets {
  return once(context, "tcp", () => {
    const all = dumpTcp();
    return {
      byInode: new Map(all.filter(({ inode }) => inode !== 0).map((info) => [info.inode, info])),
      unheld: new Map(all.filter(({ inode }) => inode === 0).map((info) => [flowKey(info), info])),
    };
  });
}

const looks = new Memo(() => new Map<string, unknown>());

/** What is looked at once a freeze in each network namespace. */
export function once<T>(context: FreezeContext, what: string, look: () => T): T {
  const known = context.memo(looks);
  const key = `${what} ${networkHere()}`;
  if (!known.has(key)) known.set(key, look());
  return known.get(key) as T;
}
