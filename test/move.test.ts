/**
 * A server moves from one machine to another while a client on a third talks to it. The machines are network
 * namespaces on one bridge; the address moves along, as it would with a virtual address of a cluster.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Program, until } from "./harness.ts";
import { KMONTE, launch } from "./kmonte.ts";

const FIXTURES = join(import.meta.dirname, "fixtures");
const PORT = "7007";
const skip = existsSync("/usr/sbin/nft") && process.getuid?.() === 0 ? false : "needs root and nft";

const FAMILIES = [
  { name: "IPv4", network: "10.88.7", bits: 24, options: [] },
  { name: "IPv6", network: "fd88:7::", bits: 64, options: ["nodad"] },
] as const;

/** Machines a, b and c, each with its wire to a bridge. */
class Machines implements Disposable {
  readonly #names: string[] = [];

  constructor() {
    try {
      this.#connect();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #connect(): void {
    this.#make("bridge");
    this.ip("bridge", "link", "add", "br0", "type", "bridge");
    this.ip("bridge", "link", "set", "br0", "up");
    for (const machine of ["a", "b", "c"]) {
      this.#make(machine);
      const there = this.path(machine);
      this.ip("bridge", "link", "add", `to-${machine}`, "type", "veth", "peer", "name", "eth0", "netns", there);
      this.ip("bridge", "link", "set", `to-${machine}`, "up", "master", "br0");
      for (const device of ["lo", "eth0"]) this.ip(machine, "link", "set", device, "up");
    }
  }

  #make(machine: string): void {
    const name = this.path(machine);
    execFileSync("ip", ["netns", "add", name]);
    this.#names.push(name);
  }

  /** The name that ip(8) knows it by. */
  path(machine: string): string {
    return `kmonte-${process.pid}-${machine}`;
  }

  ip(machine: string, ...args: string[]): string {
    return execFileSync("ip", ["-n", this.path(machine), ...args], { encoding: "utf8" });
  }

  [Symbol.dispose](): void {
    for (const name of this.#names.splice(0).toReversed()) execFileSync("ip", ["netns", "delete", name]);
  }
}

/** Enters the network and nothing else: `ip netns exec` would bring a mount namespace along. */
function on(machines: Machines, machine: string, ...command: string[]): [string, string[]] {
  return ["nsenter", [`--net=/run/netns/${machines.path(machine)}`, ...command]];
}

async function kmonteOn(machines: Machines, machine: string, ...args: string[]): Promise<string> {
  const done = await launch(...on(machines, machine, KMONTE, ...args)).done;
  assert.equal(done.status, 0, done.stdout + done.stderr);
  return done.stdout;
}

for (const { name, network, bits, options } of FAMILIES) {
  test(`a connection moves to another machine with its process: ${name}`, { skip }, async () => {
    using machines = new Machines();
    const separator = name === "IPv4" ? "." : "";
    const [service, client] = [`${network}${separator}10`, `${network}${separator}3`];
    const address = (machine: string, what: string, which: string): string =>
      machines.ip(machine, "address", what, `${which}/${bits}`, "dev", "eth0", ...(what === "add" ? options : []));
    address("c", "add", client);
    address("a", "add", service);
    const start = (machine: string, script: string): Program =>
      Program.start(...on(machines, machine, "/usr/bin/python3", join(FIXTURES, script), service, PORT));
    await using server = start("a", "echo.py");
    await server.waitFor(/^READY$/m);
    await using peer = start("c", "echo_client.py");
    await peer.waitFor(/^READY$/m);
    await using capture = Program.start(...on(machines, "c", "/usr/bin/python3", join(FIXTURES, "capture.py"), "eth0"));
    await capture.waitFor(/^READY$/m);
    await sleep(300);

    const image = join(server.directory, "image");
    await kmonteOn(machines, "a", "freeze", String(server.pid), "-o", image);
    await until(() => !existsSync(`/proc/${server.pid}`), "the end of the server");
    const frozen = Date.now();
    const refused = await launch(...on(machines, "b", KMONTE, "thaw", image)).done;
    assert.match(refused.stderr, /NO_ADDRESS/, "the address is not there yet");
    // A peer is woken that has begun to wait for long: kmonte counts from one second on.
    await sleep(Math.max(0, 1500 - (Date.now() - frozen)));
    address("a", "del", service);
    address("b", "add", service);
    // Without being told, the client would go on sending to the first machine for half a minute.
    const before = machines.ip("c", "neighbour", "show", service);
    const thawing = Date.now();
    await kmonteOn(machines, "b", "thaw", image);
    await sleep(300);
    assert.notEqual(machines.ip("c", "neighbour", "show", service), before, "the client's machine was told");
    const resumed = Date.now();
    process.kill(peer.pid, "SIGTERM");
    await peer.waitFor(/^(PASS|FAIL).*$/m);
    assert.match(peer.output, /^PASS/m, peer.output);
    assert.ok(Date.now() - resumed < 3000, "the client did not wait for long");
    await server.waitFor(/^(PASS|FAIL.*)$/m);
    assert.match(server.output, /^PASS$/m, server.output);
    await until(() => capture.output.includes("UNREACHABLE"), "what wakes the peer");
    const packets = [...capture.output.matchAll(/^(RST|UNREACHABLE) (\d+)$/gm)];
    assert.deepEqual(
      packets.filter(([, kind, time]) => kind === "RST" || Number(time) < thawing).map(([line]) => line),
      [],
      "nothing was said of the connection while it was away",
    );
  });
}
