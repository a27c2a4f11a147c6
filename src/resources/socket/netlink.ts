/** A netlink socket (netlink(7)) with nothing in its queue: protocol, port and groups are all there is to it. */
import { failures } from "../../errors/catalogue.ts";
import { POLL } from "../../abi/poll.ts";
import { pollNow } from "../../sys/poll.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { call } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { AF, SO, SOCK, SOCK_CLOEXEC, SOL, intBytes } from "../../abi/socket.ts";
import { getInt, getOption, setOption, socketAddress, tryAddress, useAddress } from "../../sys/socket.ts";
import { S_IF } from "../../abi/stat.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { nameOf } from "../../lib/flags.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { refuseForeignNetwork } from "./inet-common.ts";
import { filterSchema, freezeFilter, thawFilter } from "./filter.ts";
import { NETLINK_OPTIONS, SOCKET_OPTIONS } from "./option-tables.ts";
import { freezeOptions, optionsSchema, thawOptions } from "./options.ts";

/** Protocols whose kernel side keeps nothing for a socket besides its groups (include/uapi/linux/netlink.h). */
const STATELESS = {
  NETLINK_ROUTE: 0,
  NETLINK_USERSOCK: 2,
  NETLINK_SOCK_DIAG: 4,
  NETLINK_SELINUX: 7,
  NETLINK_CONNECTOR: 11,
  NETLINK_KOBJECT_UEVENT: 15,
  NETLINK_GENERIC: 16,
} as const;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_LIST_MEMBERSHIPS = 9;
const MOST_GROUP_BYTES = 512;

const schema = v.strictObject({
  protocol: v.picklist(Object.keys(STATELESS) as (keyof typeof STATELESS)[]),
  type: v.picklist(["SOCK_RAW", "SOCK_DGRAM"]),
  /** The port, if it is bound. */
  port: v.optional(v.number()),
  groups: v.array(v.number()),
  options: optionsSchema,
  filter: v.optional(filterSchema),
});

export const netlinkSocket: FileKind<v.InferOutput<typeof schema>, "netlink-socket"> = {
  name: "netlink-socket",
  schema,
  needs: () => [{ option: "CONFIG_NET", what: "netlink(7)" }],
  recognise: (file) =>
    file.stat.type === S_IF.S_IFSOCK && getInt(file.local, SOL.SOL_SOCKET, SO.SO_DOMAIN) === AF.AF_NETLINK,
  freeze(file) {
    refuseForeignNetwork(file);
    const number = getInt(file.local, SOL.SOL_SOCKET, SO.SO_PROTOCOL) ?? -1;
    const type = getInt(file.local, SOL.SOL_SOCKET, SO.SO_TYPE) === SOCK.SOCK_RAW ? "SOCK_RAW" : "SOCK_DGRAM";
    const protocol = nameOf(STATELESS, number) as keyof typeof STATELESS | undefined;
    if (protocol === undefined) {
      throw failures.NETLINK_PROTOCOL({ file, protocol: number });
    }
    refuseQueue(file);
    const filter = freezeFilter(file);
    const port = socketAddress(file.local, "getsockname")?.readUInt32LE(4) ?? 0;
    const make = (): LocalFd =>
      call("socket", "Making a socket", AF.AF_NETLINK, SOCK[type] | SOCK_CLOEXEC, number) as LocalFd;
    const options = freezeOptions(file.local, [SOCKET_OPTIONS, NETLINK_OPTIONS], `netlink:${number}`, make, closeSync);
    return {
      protocol,
      type,
      ...(port !== 0 && { port }),
      groups: groupsOf(file.local),
      options,
      ...(filter !== undefined && { filter }),
    };
  },
  thaw(state, context) {
    const protocol = STATELESS[state.protocol];
    const fd = context.keep(
      call("socket", "Making a netlink socket", AF.AF_NETLINK, SOCK[state.type] | SOCK_CLOEXEC, protocol) as LocalFd,
    );
    thawOptions(fd, state.options, "early");
    if (state.port !== undefined) bindPort(fd, state.port);
    for (const group of state.groups) {
      setOption(fd, SOL.SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, intBytes(group), `Joining netlink group ${group}`);
    }
    thawFilter(fd, state.filter);
    thawOptions(fd, state.options, "late");
    return fd;
  },
};

function refuseQueue(file: OpenFile): void {
  const events = pollNow(file.local, POLL.POLLIN);
  if ((events & (POLL.POLLIN | POLL.POLLERR)) === 0) return;
  throw failures.NETLINK_QUEUE({ file });
}

/** Joined groups are bits of a mask: bit 0 is group 1. */
function groupsOf(fd: LocalFd): number[] {
  const mask = getOption(fd, SOL.SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, MOST_GROUP_BYTES) ?? Buffer.alloc(0);
  const bytes = mask.subarray(0, MOST_GROUP_BYTES);
  return [...bytes].flatMap((byte, at) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => at * 8 + bit + 1),
  );
}

function bindPort(fd: LocalFd, port: number): void {
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF.AF_NETLINK, 0);
  address.writeUInt32LE(port, 4);
  const result = tryAddress("bind", fd, address);
  if (result !== -ERRNO.EADDRINUSE) {
    if (result < 0) useAddress("bind", fd, address, `Binding a netlink socket to port ${port}`);
    return;
  }
  // Somebody has the number by now; the kernel gives another, as it does to whoever asks for none.
  address.writeUInt32LE(0, 4);
  useAddress("bind", fd, address, "Binding a netlink socket");
}
