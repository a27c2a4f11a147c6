/** Sockets of all families, and what they need of the network. */
import {
  failed,
  type NamedFile,
  type NamedProcess,
  type Numbers,
  refused,
  refusedForNow,
  type Texts,
  type OfFile,
} from "../../entry.ts";
import type { FailureText } from "../../failure.ts";
import { ofSocket } from "./phrases.ts";

function needed(what: string, why: string, remedy: string): FailureText {
  return { what: `Sockets of the processes need ${what}, which is not here.`, why, remedy };
}

export const socket = {
  SOCKET_UNIT_USED: refused(({ name, state, unit }: Texts<"name" | "state" | "unit">) => ({
    what: `${name} was started anew while its processes were frozen, and is ${state}.`,
    why: `Both would take connections from the sockets of ${unit}.`,
    remedy: `systemctl stop ${name}, and thaw again.`,
  })),
  SOCKET_UNIT_MISSING: refused(({ unit, address, why }: Texts<"unit" | "address" | "why">) => ({
    what: `Processes share a socket of ${unit} with systemd, and systemd does not listen at ${address}.`,
    why,
    remedy: `See that ${unit} listens there again (systemctl cat ${unit}, systemctl start ${unit}), and thaw again.`,
    facts: { path: address },
  })),
  EXTERNAL_SOCKET: refused(
    ({
      file,
      what,
      other,
      holder,
    }: Texts<"what" | "other"> & { readonly file: NamedFile; readonly holder?: number | undefined }) => ({
      what: `Process ${file.pid} (${file.command}) is connected to a process that stays outside.`,
      why: `The other end of descriptor ${file.fd} (${what}) belongs to ${other}.`,
      remedy: holder
        ? `Freeze process ${holder} together with it, let one of them close the connection, or freeze with --close-external, which kmonte swap does not have: it then comes back closed, and a program that writes to it without expecting that ends (EPIPE, SIGPIPE).`
        : "Let the program close it first.",
      facts: { pid: file.pid, fd: file.fd, command: file.command, resource: "socket" },
    }),
  ),
  PACKET_RING: refused(({ pid, command, address }: NamedProcess & Texts<"address">) => ({
    what: `Process ${pid} (${command}) shares a ring with a packet socket that has caught packets.`,
    why: `Where the kernel stands in the ring at ${address} cannot be asked.`,
    remedy: "Stop the capture and start it anew after the thaw.",
    facts: { pid, command, address, resource: "mapping" },
  })),
  FIREWALL: failed(({ said }: Texts<"said">) => ({
    what: "Packets of a connection could not be held back.",
    why: `nft said: ${said}.`,
  })),
  FREEZE_TOO_LONG: failed(({ seconds }: Numbers<"seconds">) => ({
    what: "The freeze took too long for its connections; the processes go on as they were.",
    why: `Packets were held back for ${seconds} seconds.`,
    remedy: "Write the image to a faster place.",
  })),

  SOCKET_FAMILY: {
    unsupported: refused(({ file, family, type, protocol }: OfFile & Texts<"family" | "type"> & Numbers<"protocol">) =>
      ofSocket(file, "a socket of a family that cannot be frozen", `it is ${family}, ${type}, protocol ${protocol}.`),
    ),
    packetUntold: refused(({ file }: OfFile) =>
      ofSocket(
        file,
        "a packet socket that the kernel does not tell of",
        "it is not in the list that CONFIG_PACKET_DIAG gives.",
      ),
    ),
  },
  NETLINK_PROTOCOL: refused(({ file, protocol }: OfFile & Numbers<"protocol">) =>
    ofSocket(file, "a netlink socket whose protocol keeps state", `its protocol is ${protocol}.`),
  ),
  NETLINK_QUEUE: refusedForNow(({ file }: OfFile) =>
    ofSocket(
      file,
      "messages of the kernel that it has not read yet",
      "a netlink socket cannot be filled again.",
      "Try again when the program has read them.",
    ),
  ),
  SOCKET_PROTOCOL: refused(({ file, protocol }: OfFile & Texts<"protocol">) =>
    ofSocket(file, "a socket of a protocol that cannot be frozen", `it is ${protocol}.`),
  ),
  UDP_ENCAP: refused(({ file }: OfFile) =>
    ofSocket(file, "a UDP socket that carries other packets", "a tunnel hangs on it (UDP_ENCAP)."),
  ),
  UDP_CORK: refusedForNow(({ file }: OfFile) =>
    ofSocket(
      file,
      "a datagram that is only begun",
      "what a corked socket has gathered (UDP_CORK, MSG_MORE) cannot be read.",
      "Try again when the program has sent it.",
    ),
  ),
  SOCKET_ERROR: {
    orReport: refused(({ file, events }: OfFile & Texts<"events">) =>
      ofSocket(file, "a socket with an error or a report that it was not told yet", `poll(2) answers ${events}.`),
    ),
    untold: refused(({ file, events }: OfFile & Texts<"events">) =>
      ofSocket(file, "a socket with an error that it was not told yet", `poll(2) answers ${events}.`),
    ),
  },
  NETWORK_NAMESPACE: {
    named: refused(({ file, network }: OfFile & Texts<"network">) =>
      ofSocket(file, "a socket of another network namespace", `it belongs to ${network}.`),
    ),
    other: refused(({ file }: OfFile) =>
      ofSocket(file, "a socket of another network namespace", "it is not of the one that kmonte runs in."),
    ),
  },
  RAW_PACKETS: {
    ofKernel: refusedForNow(({ file, protocol }: OfFile & Texts<"protocol">) =>
      ofSocket(
        file,
        "a raw socket with packets that it has not read yet",
        `the kernel itself handles ${protocol}, and would do so again if they were received once more.`,
        "Try again when the program has read them.",
      ),
    ),
    several: refusedForNow(({ file }: OfFile) =>
      ofSocket(
        file,
        "a raw socket with packets that it has not read yet",
        "only the first of them can be looked at without being taken.",
        "Try again when the program has read them.",
      ),
    ),
  },
  SOCKET_BPF: {
    filter: refused(({ file }: OfFile) =>
      ofSocket(file, "a BPF program attached to a socket", "it is not a classic filter, which alone can be read."),
    ),
    group: refused(({ file }: OfFile) =>
      ofSocket(file, "a packet socket of a group", "a program shares packets out among them."),
    ),
  },
  PACKETS_CAUGHT: refusedForNow(({ file, first }: OfFile & Numbers<"first">) =>
    ofSocket(
      file,
      "a packet socket with packets that it has not read yet",
      `the first is of ${first} bytes; only the network can put packets into the queue.`,
      "Try again when the program has read them, or stop the capture.",
    ),
  ),
  NFT_MISSING: refused(({ file, remote }: OfFile & Texts<"remote">) =>
    ofSocket(
      file,
      `a connection to ${remote}, outside the frozen set`,
      "packets must be held back while it is away, and nft(8) is not there.",
      "Install nftables, or freeze both ends together.",
    ),
  ),
  NO_ADDRESS: {
    family: refused(({ address }: Texts<"address">) =>
      needed(address, "This kernel has no such sockets.", "Load its module."),
    ),
    device: refused(({ address }: Texts<"address">) =>
      needed(
        address,
        "No device has this address, or none that is up.",
        `Give the address to a device of this machine first (ip address add ${address}/… dev …).`,
      ),
    ),
  },
  NO_DEVICE: refused(({ device }: Texts<"device">) =>
    needed(device, "There is no such network device.", "Bring the device up first."),
  ),
  NO_ROUTE: refused(({ local, remote }: Texts<"local" | "remote">) =>
    needed(remote, `No route leads there from ${local}.`, "Set up the route first."),
  ),
};
