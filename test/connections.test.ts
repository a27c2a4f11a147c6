/**
 * A thousand connections at once, to clients in another network namespace, with data on its way in both directions:
 * every byte comes back once, in its place, and nobody is told of an end while the server is away.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { thaw } from "./kmonte-library.ts";
import { Program } from "./harness.ts";

const FIXTURE = (name: string): string => new URL(`fixtures/${name}`, import.meta.url).pathname;
const missing = existsSync("/usr/sbin/nft") && existsSync("/usr/sbin/ip") ? false : "nft or ip is not installed";
const COUNT = 1000;
const AWAY_MS = 1500;

/** Two ends of a cable: the server's in our own namespace, the clients' in one of their own, kept by a sleeper. */
class Cable implements Disposable {
  readonly name = `km${process.pid}`;
  readonly network = 200 + (process.pid % 50);
  readonly #keeper = spawn("/usr/bin/unshare", ["--net", "sleep", "300"], { stdio: "ignore" });
  readonly pid = this.#keeper.pid as number;

  get server(): string {
    return `10.97.${this.network}.1`;
  }

  lay(): void {
    const ip = (...words: string[]): Buffer => execFileSync("/usr/sbin/ip", words);
    ip("link", "add", this.name, "type", "veth", "peer", "name", "there", "netns", String(this.pid));
    ip("addr", "add", `${this.server}/24`, "dev", this.name);
    ip("link", "set", this.name, "up");
    for (const words of [
      ["addr", "add", `10.97.${this.network}.2/24`, "dev", "there"],
      ["link", "set", "there", "up"],
    ]) {
      execFileSync("/usr/bin/nsenter", ["-t", String(this.pid), "-n", "/usr/sbin/ip", ...words]);
    }
  }

  /** With the namespace goes the cable. */
  [Symbol.dispose](): void {
    this.#keeper.kill("SIGKILL");
  }
}

test(`${COUNT} connections with data on its way both ways`, { skip: missing, timeout: 120_000 }, async () => {
  using cable = new Cable();
  await sleep(100);
  cable.lay();
  await using server = Program.start("/usr/bin/python3", [FIXTURE("echo-many.py"), cable.server, String(COUNT)]);
  await server.waitFor(/^PORT \d+$/m);
  const port = /^PORT (\d+)$/m.exec(server.output)?.[1] ?? "";
  const inside = ["-t", String(cable.pid), "-n", "/usr/bin/python3"];
  const clients = Program.start("/usr/bin/nsenter", [
    ...inside,
    FIXTURE("clients-many.py"),
    cable.server,
    port,
    String(COUNT),
  ]);
  await using _ = clients;
  await clients.waitFor(/^RUNNING$/m);
  // Hears what comes out of the cable: no reset, and no report of an error.
  const ears = spawn("/usr/bin/nsenter", [...inside, FIXTURE("ears.py"), "there"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(ears.stdout, "data");
  const directory = await server.freeze();
  await sleep(AWAY_MS);
  ears.stdin.end("\n");
  const heard = String((await once(ears.stdout, "data"))[0]).trim();
  await thaw({ directory });
  process.kill(clients.pid, "SIGUSR1");
  await clients.waitFor(/^(DONE|FAIL).*$/m);
  assert.match(clients.output, /^DONE/m, clients.output);
  assert.match(heard, /^resets 0 reports 0 packets \d+$/);
  const [, longest = "0"] = /longest pause (\d+\.\d+)/.exec(clients.output) ?? [];
  const [, gap = "0"] = /longest silence (\d+\.\d+)/.exec(clients.output) ?? [];
  assert.ok(Number(longest) - Number(gap) < 5, `the last connection went on ${longest} s, the first ${gap} s after`);
});
