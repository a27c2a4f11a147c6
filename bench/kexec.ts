/**
 * What a change of kernel costs clients outside: with kmonte swap, and with the kexec that systemd has (kexec-tools and
 * `systemctl kexec`), on the same server of the lab: `node bench/kexec.ts [--data MiB] [--only NAME] [--json]`. Prints a
 * table.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { swapInGuest } from "../lab/guest-swap.ts";
import { atEnd } from "../lab/lifetime.ts";
import { Login } from "../lab/login.ts";
import { Machine } from "../lab/machine.ts";
import { PORTS } from "../lab/places.ts";
import { openServices } from "../lab/services.ts";
import type { AgainResult } from "./again.ts";

const { values } = parseArgs({
  options: { data: { type: "string", default: "64" }, only: { type: "string" }, json: { type: "boolean" } },
});

const FROM = "6.1";
const TO = "6.12";
const UNITS = ["redis-server", "nginx", "ssh"];

/** What each sends, and what an answer to it looks like. */
const CLIENTS = [
  { name: "redis", port: PORTS.redis, text: "PING\r\n", pattern: "^\\+PONG" },
  {
    name: "nginx",
    port: PORTS.http,
    text: "GET /hello HTTP/1.1\r\nHost: lab\r\n\r\n",
    pattern: "hello across kernels",
  },
] as const;

const CHANGES: Readonly<Record<string, (machine: Machine) => Promise<unknown>>> = {
  async "kmonte swap"(machine) {
    await machine.output(["kmonte", "protect", ...UNITS]);
    await swapInGuest(machine, { to: TO });
  },
  async "systemctl kexec"(machine) {
    const earlier = machine.boots.length;
    const load = `kexec -l /boot/vmlinuz-${TO}.* --initrd=$(ls /boot/initrd.img-${TO}.*) --reuse-cmdline`;
    await machine.output(["sh", "-c", load]);
    // It is not answered: its kernel ends before it.
    machine.run(["systemctl", "kexec"]).catch(() => undefined);
    await machine.waitForKernel(TO, earlier);
    await machine.output(["sh", "-c", "systemctl is-system-running --wait || true"]);
  },
};

async function measure(change: (machine: Machine) => Promise<unknown>): Promise<AgainResult[]> {
  await using machine = await Machine.boot({
    system: { debian: "12", kind: "server" },
    kernel: FROM,
    kernels: [TO],
    ports: Object.values(PORTS),
  });
  using login = await Login.make();
  await openServices(machine, { mebibytes: Number(values.data), publicKey: login.publicKey });
  using stack = new DisposableStack();
  const clients = CLIENTS.map(({ port, text, pattern }) => {
    const { host, port: at } = machine.wire.reach(port, false);
    const script = join(import.meta.dirname, "again.ts");
    const args = ["--disable-warning=ExperimentalWarning", script, host, String(at), text, pattern];
    const [command, all] = machine.wire.inside(process.execPath, ...args);
    const child = spawn(command, all, { stdio: ["pipe", "pipe", "inherit"] });
    stack.use(atEnd(() => child.kill("SIGKILL")));
    return child;
  });
  await delay(5_000);
  await change(machine);
  await delay(10_000);
  // They are ended with this scope.
  return await Promise.all(clients.map(resultOf));
}

async function resultOf(child: ChildProcess): Promise<AgainResult> {
  let said = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (said += text));
  child.stdin?.on("error", () => {}).end();
  await new Promise((resolve) => child.once("close", resolve));
  if (said === "") throw new Error(`a client ended without a result (${child.exitCode ?? child.signalCode})`);
  return JSON.parse(said) as AgainResult;
}

const results: Record<string, AgainResult[]> = {};
for (const [name, change] of Object.entries(CHANGES)) {
  if (values.only !== undefined && values.only !== name) continue;
  results[name] = await measure(change);
  process.stderr.write(`${name}: ${JSON.stringify(results[name])}\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else {
  process.stdout.write(
    `| client | ${Object.keys(results).join(" | ")} |\n|${" --- |".repeat(Object.keys(results).length + 1)}\n`,
  );
  for (const [i, { name }] of CLIENTS.entries()) {
    const cells = Object.values(results).map((row) => {
      const { lost = 0, longestPause = 0 } = row[i] ?? {};
      return `${longestPause.toFixed(1)} s, ${lost} connections lost`;
    });
    process.stdout.write(`| ${name} | ${cells.join(" | ")} |\n`);
  }
}
