/**
 * Multicast groups that a socket has joined (ip(7), ipv6(7), RFC 3678). No call lists them: every group that any socket
 * of this machine has joined is asked for.
 */
import {
  MCAST_JOIN_GROUP,
  MCAST_BLOCK_SOURCE,
  MCAST_JOIN_SOURCE_GROUP,
  SOCKADDR_STORAGE_SIZE,
  MCAST_MSFILTER,
  MCAST_INCLUDE,
  GROUP_FILTER,
} from "../../abi/socket.ts";
import * as v from "valibot";
import type { ProcPath } from "../../sys/mount-view.ts";
import { readFileSync } from "../../sys/files.ts";
import { attempt, withStruct } from "../../sys/call.ts";
import { inetAddress, parseInet } from "../../abi/sockaddr.ts";
import { AF, IPPROTO } from "../../abi/socket.ts";
import { setOption } from "../../sys/socket.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import { orIfGone } from "../../lib/no-such-file.ts";

export const membershipSchema = v.strictObject({
  interface: v.number(),
  group: v.string(),
  /** Senders that it wants to hear alone, or not to hear. */
  only: v.optional(v.array(v.string())),
  except: v.optional(v.array(v.string())),
});
export type Membership = v.InferOutput<typeof membershipSchema>;

const MOST_SOURCES = 512;

const levelOf = (family: number): number => (family === AF.AF_INET ? IPPROTO.IPPROTO_IP : IPPROTO.IPPROTO_IPV6);

/** /proc/net/igmp: a line for each interface, and below it lines with a group, in hexadecimal, of this machine's order. */
function parseIgmp(text: string): Membership[] {
  const found: Membership[] = [];
  let index = 0;
  for (const line of text.split("\n").slice(1)) {
    const group = /^\t+([0-9A-F]{8})\s/.exec(line)?.[1];
    if (group === undefined) index = Number.parseInt(line, 10);
    else found.push({ interface: index, group: [...Buffer.from(group, "hex")].toReversed().join(".") });
  }
  return found;
}

/** /proc/net/igmp6: index, name, group and more. */
function parseIgmp6(text: string): Membership[] {
  return text.split("\n").flatMap((line) => {
    const [, index = "", hex = ""] = /^(\d+)\s+\S+\s+([0-9a-f]{32})\s/.exec(line) ?? [];
    if (hex === "") return [];
    const raw = Buffer.concat([
      inetAddress(AF.AF_INET6, { address: "::", port: 0 }).subarray(0, 8),
      Buffer.from(hex, "hex"),
      Buffer.alloc(4),
    ]);
    return [{ interface: Number(index), group: parseInet(raw).address }];
  });
}

export function freezeMemberships(file: OpenFile, family: number): Membership[] {
  const candidates = parseIgmp(read("/proc/thread-self/net/igmp"));
  if (family === AF.AF_INET6) candidates.push(...parseIgmp6(read("/proc/thread-self/net/igmp6")));
  return candidates.flatMap((candidate) => askAbout(file, candidate));
}

function read(path: ProcPath): string {
  return orIfGone(() => readFileSync(path, "utf8"), "");
}

function familyOf({ group }: Membership): number {
  return group.includes(":") ? AF.AF_INET6 : AF.AF_INET;
}

function askAbout(file: OpenFile, membership: Membership): Membership[] {
  const family = familyOf(membership);
  const room = GROUP_FILTER.SIZE + MOST_SOURCES * SOCKADDR_STORAGE_SIZE;
  return withStruct(room + 8, (bytes, address) => {
    bytes.writeUInt32LE(membership.interface, 0);
    inetAddress(family, { address: membership.group, port: 0 }).copy(bytes, GROUP_FILTER.GROUP);
    bytes.writeUInt32LE(MOST_SOURCES, GROUP_FILTER.SOURCES);
    bytes.writeUInt32LE(room, room);
    if (attempt("getsockopt", file.local, levelOf(family), MCAST_MSFILTER, address, address + room) < 0) return [];
    const sources = Array.from(
      { length: Math.min(bytes.readUInt32LE(GROUP_FILTER.SOURCES), MOST_SOURCES) },
      (_, i) =>
        parseInet(
          bytes.subarray(
            GROUP_FILTER.SIZE + i * SOCKADDR_STORAGE_SIZE,
            GROUP_FILTER.SIZE + (i + 1) * SOCKADDR_STORAGE_SIZE,
          ),
        ).address,
    );
    if (bytes.readUInt32LE(GROUP_FILTER.MODE) === MCAST_INCLUDE) return [{ ...membership, only: sources }];
    return [sources.length > 0 ? { ...membership, except: sources } : membership];
  });
}

export function thawMemberships(fd: LocalFd, memberships: readonly Membership[]): void {
  for (const membership of memberships) {
    const family = familyOf(membership);
    const { only, except = [], group } = membership;
    const about = `Joining ${group}`;
    const request = (...addresses: string[]): Buffer => {
      const raw = Buffer.alloc(GROUP_FILTER.GROUP + addresses.length * SOCKADDR_STORAGE_SIZE);
      raw.writeUInt32LE(membership.interface, 0);
      addresses.forEach((address, i) =>
        inetAddress(family, { address, port: 0 }).copy(raw, GROUP_FILTER.GROUP + i * SOCKADDR_STORAGE_SIZE),
      );
      return raw;
    };
    for (const source of only ?? [])
      setOption(fd, levelOf(family), MCAST_JOIN_SOURCE_GROUP, request(group, source), about);
    if (only === undefined) setOption(fd, levelOf(family), MCAST_JOIN_GROUP, request(group), about);
    for (const source of except) setOption(fd, levelOf(family), MCAST_BLOCK_SOURCE, request(group, source), about);
  }
}
