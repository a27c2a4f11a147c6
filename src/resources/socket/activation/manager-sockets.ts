/** The sockets that systemd has open for units (systemd.socket(5)): what tells them apart, and duplicates of them. */
import { openTask } from "../../../sys/task.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { attempt } from "../../../sys/call.ts";
import { networkHere, socketNamespace } from "../../../sys/namespaces.ts";
import { parseInet, unixNameOf } from "../../../abi/sockaddr.ts";
import { AF, SO, SOCK, SOL } from "../../../abi/socket.ts";
import { getInt, socketAddress } from "../../../sys/socket.ts";
import { fstat } from "../../../sys/stat.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { findTask, linksOf } from "../../../proc/read.ts";

/** Where systemd is, which keeps the sockets of the machine's units. */
const MANAGER = 1;

/** Where systemd has it as well: those that are not in the way. */
export function isManager(pid: number): boolean {
  return pid === MANAGER;
}

/** What tells one socket of systemd's from another. */
export const soughtSchema = v.strictObject({
  family: v.number(),
  type: v.number(),
  protocol: v.number(),
  /** As systemd writes it: a path, `@NAME`, `ADDRESS:PORT`. */
  address: v.string(),
});
export type Sought = v.InferOutput<typeof soughtSchema>;

/** As systemd calls types of sockets. */
export const KINDS: Readonly<Record<number, string>> = {
  [SOCK.SOCK_STREAM]: "Stream",
  [SOCK.SOCK_DGRAM]: "Datagram",
  [SOCK.SOCK_SEQPACKET]: "SequentialPacket",
};

/** What it is, if it is something that a socket unit makes: listening, or without connections and bound. */
export function describeSocket(socket: LocalFd): Sought | undefined {
  const option = (name: "SO_DOMAIN" | "SO_TYPE" | "SO_PROTOCOL"): number =>
    getInt(socket, SOL.SOL_SOCKET, SO[name]) ?? 0;
  const [family, type, protocol] = [option("SO_DOMAIN"), option("SO_TYPE"), option("SO_PROTOCOL")];
  const name = socketAddress(socket, "getsockname");
  if (!name || KINDS[type] === undefined) return undefined;
  const listens = getInt(socket, SOL.SOL_SOCKET, SO.SO_ACCEPTCONN) === 1;
  if (type === SOCK.SOCK_DGRAM ? socketAddress(socket, "getpeername") !== undefined : !listens) return undefined;
  const address = addressOf(family, name);
  return address === undefined ? undefined : { family, type, protocol, address };
}

function addressOf(family: number, name: Buffer): string | undefined {
  if (family === AF.AF_UNIX) return unixNameOf(name) || undefined;
  if (family !== AF.AF_INET && family !== AF.AF_INET6) return undefined;
  const { address, port } = parseInet(name);
  return port === 0 ? undefined : `${family === AF.AF_INET ? address : `[${address}]`}:${port}`;
}

/** The inodes of systemd's sockets that are like one. */
export function socketsLike(sought: Sought): string[] {
  return managersSockets().filter((inode) => {
    const fd = fetchSocket(inode);
    if (fd === undefined) return false;
    try {
      const here = socketNamespace(fd) === networkHere() ? describeSocket(fd) : undefined;
      return here !== undefined && isLike(here, sought);
    } finally {
      closeSync(fd);
    }
  });
}

function isLike(one: Sought, other: Sought): boolean {
  return (["family", "type", "protocol", "address"] as const).every((name) => one[name] === other[name]);
}

const SOCKET_LINK = /^socket:\[(\d+)\]$/;

function managersSockets(): string[] {
  const inodes = [...linksOf(MANAGER).values()].flatMap((link) => SOCKET_LINK.exec(link)?.[1] ?? []);
  return [...new Set(inodes)];
}

/** A duplicate of systemd's socket of an inode; undefined when it has none any more. */
export function fetchSocket(inode: string): LocalFd | undefined {
  const number = [...linksOf(MANAGER)].find(([, link]) => SOCKET_LINK.exec(link)?.[1] === inode)?.[0];
  if (number === undefined) return undefined;
  const pidfd = openTask(findTask(MANAGER));
  try {
    const fd = attempt("pidfd_getfd", pidfd, number, 0);
    if (fd < 0) return undefined;
    // The number may be another file's by now.
    if (String(fstat(fd).inode) === inode) return fd as LocalFd;
    closeSync(fd);
    return undefined;
  } finally {
    closeSync(pidfd);
  }
}
