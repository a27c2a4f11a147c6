/**
 * The wire between the guest and clients outside of it: a tap device in a network namespace of its own, so that the
 * peers are real sockets of this machine's kernel, and nothing of it is seen on this machine. Where that cannot be had,
 * QEMU's own user-mode network stands between them: its sockets in the guest's network are then the peers.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { atEnd } from "./lifetime.ts";

export const GUEST_ADDRESS = "10.77.0.2";
export const GUEST_ADDRESS6 = "fd77::2";
const NETWORK = "10.77.0.0/24";
/** The clients' own addresses. */
export const HOST_ADDRESS = "10.77.0.1";
export const HOST_ADDRESS6 = "fd77::1";
const TAP = "tap0";
const DEVICE = ["-device", "virtio-net-pci,netdev=wire,romfile="];

const SET_UP = `set -e
ip link set lo up
ip tuntap add ${TAP} mode tap
ip address add ${HOST_ADDRESS}/24 dev ${TAP}
ip -6 address add ${HOST_ADDRESS6}/64 dev ${TAP} nodad
ip link set ${TAP} up
echo ready
exec cat`;

/** Where clients outside of a machine run. */
export interface ClientNetwork {
  /** Runs a command line where the guest can be reached. */
  inside(command: string, ...args: string[]): [command: string, args: string[]];
  /** Where a client finds a port of the guest; by IPv6 where there is a way. */
  reach(port: number, six: boolean): { host: string; port: number };
}

export interface Wire extends ClientNetwork, Disposable {
  /** What QEMU is told. */
  readonly arguments: readonly string[];
}

/** A wire for a guest that serves on these ports. */
export async function openWire(ports: readonly number[]): Promise<Wire> {
  return (await openTap()) ?? (await openUserMode(ports));
}

/** The namespace lasts as long as a process that does nothing but being in it. */
async function openTap(): Promise<Wire | undefined> {
  const keeper = spawn("unshare", ["--net", "sh", "-c", SET_UP], { stdio: ["pipe", "pipe", "ignore"] });
  const ending = atEnd(() => keeper.kill("SIGKILL"));
  if (!(await saysReady(keeper))) {
    ending[Symbol.dispose]();
    return undefined;
  }
  return {
    arguments: ["-netdev", `tap,id=wire,ifname=${TAP},script=no,downscript=no`, ...DEVICE],
    ...networkOf(keeper.pid ?? 0),
    [Symbol.dispose]: () => ending[Symbol.dispose](),
  };
}

/** The network namespace of a process, in which the guest has its own addresses. */
export function networkOf(pid: number): ClientNetwork {
  return {
    inside: (command, ...args) => ["nsenter", [`--net=/proc/${pid}/ns/net`, "--", command, ...args]],
    reach: (port, six) => ({ host: six ? GUEST_ADDRESS6 : GUEST_ADDRESS, port }),
  };
}

/** Whether a process that holds namespaces wrote its first line before it ended. */
export async function saysReady(keeper: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    keeper.stdout?.once("data", () => resolve(true));
    keeper.once("error", () => resolve(false));
    keeper.once("close", () => resolve(false));
  });
}

async function openUserMode(ports: readonly number[]): Promise<Wire> {
  const here = new Map<number, number>();
  for (const port of ports) here.set(port, await freePort());
  const forward = [...here].map(([port, local]) => `,hostfwd=tcp:127.0.0.1:${local}-${GUEST_ADDRESS}:${port}`).join("");
  return {
    arguments: ["-netdev", `user,id=wire,net=${NETWORK},host=${HOST_ADDRESS}${forward}`, ...DEVICE],
    inside: (command, ...args) => [command, args],
    reach: (port) => ({ host: "127.0.0.1", port: here.get(port) ?? 0 }),
    [Symbol.dispose]: () => {},
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
