/**
 * Stock services through two reboots in a row: systemd has the same units with the same processes, and clients outside
 * keep their connections. Everything but the kernel is real; another kernel comes in swap.test.ts.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { DebianRelease } from "../../lab/bootstrap.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { temporaryDirectory } from "../../lab/lifetime.ts";
import { runTool } from "../../lab/tool.ts";
import { ensurePackages } from "../../scripts/packages.ts";
import { parseResult } from "../json-schemas.ts";
import { Conversation } from "./conversation.ts";
import { FIRST_BOOT, shell, suspendAndReturn } from "./suspending.ts";
import { serverMachine } from "./server-machine.ts";

const PATIENCE_MS = 20 * 60_000;
const UNITS = ["redis-server.service", "nginx.service", "memcached.service", "cron.service", "ssh.service"];

/** Lets services that serve their own machine alone serve others too. */
const OPEN = `set -e
sed -i 's/^bind .*/bind * -::*/; s/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf
sed -i 's/^-l .*/-l 0.0.0.0/' /etc/memcached.conf
systemctl restart redis-server memcached`;

/** A TCP client that sends each line of its input, \\r\\n in the place of |, and answers with what came back in a line. */
const CLIENT = `import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.settimeout(60)
for line in sys.stdin:
    s.sendall(line.strip().replace("|", "\\r\\n").encode())
    print(repr(s.recv(65536))[:200], flush=True)`;

const mainPids = async (machine: NamespaceMachine): Promise<string[]> =>
  Promise.all(UNITS.map((unit) => shell(machine, `systemctl show -P MainPID ${unit}`)));

const idOf = (scope = ""): string => scope.replace(/^session-|\.scope$/g, "");

async function eachUnit(machine: NamespaceMachine, pids: readonly string[]): Promise<void> {
  assert.deepEqual(await mainPids(machine), pids);
  for (const unit of UNITS) {
    const shown = await shell(machine, `systemctl show -p ActiveState,SubState,Type,ControlGroup,DropInPaths ${unit}`);
    assert.match(shown, /^ActiveState=active$/m, unit);
    assert.match(shown, /^SubState=running$/m, unit);
    assert.match(shown, /^DropInPaths=$/m, `${unit}: nothing is left of kmonte's`);
    const [, group] = /^ControlGroup=(.*)$/m.exec(shown) ?? [];
    const inside = await shell(machine, `cat /sys/fs/cgroup${group}/cgroup.procs`);
    assert.ok(inside.split("\n").includes(pids[UNITS.indexOf(unit)] ?? ""), unit);
  }
}

for (const debian of ["12", "13"] as const satisfies readonly DebianRelease[]) {
  describe(`stock services of Debian ${debian}`, { timeout: PATIENCE_MS }, () => {
    test("five units and a session go through two reboots, and systemd agrees", async (t) => {
      ensurePackages(["openssh-client", "python3"]);
      using work = temporaryDirectory("kmonte-units-");
      const key = join(work.path, "key");
      await runTool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
      await using machine = await NamespaceMachine.make(serverMachine(debian));
      assert.equal(await machine.boot({ beforeInit: FIRST_BOOT }), "running");
      await machine.put("/root/.ssh/authorized_keys", readFileSync(`${key}.pub`), 0o600);
      await shell(machine, OPEN);

      const at = (port: number) => ["-c", CLIENT, machine.network.reach(port, false).host, String(port)];
      using redis = new Conversation(machine, "python3", ...at(6379));
      using web = new Conversation(machine, "python3", ...at(80));
      using cache = new Conversation(machine, "python3", ...at(11_211));
      const options = ["-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
      const loop = 'n=0; while read line; do n=$((n+1)); echo "$line $n $$"; done';
      using login = new Conversation(machine, "ssh", ...options, `root@${machine.network.reach(22, false).host}`, loop);
      const [word, count, session] = (await login.ask("hello")).split(" ");
      assert.deepEqual([word, count], ["hello", "1"]);
      await shell(machine, `tmux new-session -d -s work vi /root/text; sleep 1; tmux send-keys -t work ityped Escape`);
      assert.equal(await redis.ask("INCR n|"), "b':1\\r\\n'");
      assert.match(await web.ask("GET / HTTP/1.1|Host: lab||"), /^b'HTTP\/1\.1 200 OK/);
      assert.match(await cache.ask("set k 0 0 5|value|"), /STORED/);

      const names = UNITS.map((unit) => unit.replace(".service", ""));
      const protect = await machine.run(["kmonte", "protect", ...names, "--json"]);
      assert.equal(protect.code, 0, protect.stdout.toString() + protect.stderr.toString());
      assert.deepEqual(parseResult("protect", protect.stdout), { added: UNITS });
      const services = parseResult<{ services: { unit: string; verdict: string; sessions: string[] }[] }>(
        "services",
        await machine.output(["kmonte", "services", "--protected", "--json"]),
      );
      assert.deepEqual(services.services.map(({ unit }) => unit).sort(), UNITS.toSorted());
      for (const { unit, verdict } of services.services) assert.equal(verdict, "along", unit);
      const scope = services.services.find(({ unit }) => unit === "ssh.service")?.sessions[0];
      assert.match(scope ?? "", /^session-.*\.scope$/);
      const pids = await mainPids(machine);

      for (const round of [1, 2]) {
        await t.test(`reboot ${round}`, async () => {
          await suspendAndReturn(machine);
          await eachUnit(machine, pids);
          assert.equal(await redis.ask("INCR n|"), `b':${round + 1}\\r\\n'`);
          assert.match(await web.ask("GET / HTTP/1.1|Host: lab||"), /^b'HTTP\/1\.1 200 OK/);
          assert.match(await cache.ask("get k|"), /value/);
          assert.equal(await login.ask("again"), `again ${round + 1} ${session}`);
          assert.match(await shell(machine, `cat /proc/${session}/cgroup`), new RegExp(`/${scope}$`, "m"));
          const known = await shell(machine, `loginctl show-session -p State -p Scope -p Remote ${idOf(scope)}`);
          assert.deepEqual(known.split("\n").sort(), ["Remote=yes", `Scope=${scope}`, "State=active"]);
          assert.equal(await shell(machine, "systemctl is-active user@0.service"), "active");
          const report = parseResult<{ units: { name: string; after: { activeState: string } }[] }>(
            "report",
            await machine.output(["kmonte", "report", "--json"]),
          );
          for (const unit of UNITS)
            assert.equal(report.units.find(({ name }) => name === unit)?.after.activeState, "active", unit);
        });
      }

      await t.test("logind hears of the session's end", async () => {
        login[Symbol.dispose]();
        const list = "loginctl list-sessions --no-legend | wc -l";
        for (const end = Date.now() + 30_000; (await shell(machine, list)) !== "0"; await delay(200))
          assert.ok(Date.now() < end, "the session is still listed");
      });

      await t.test("units do what they did before", async () => {
        await shell(machine, "systemctl reload nginx ssh");
        assert.equal(await shell(machine, "systemctl show -P MainPID nginx.service"), pids[1]);
        await shell(machine, "systemctl kill -s KILL redis-server; sleep 1");
        assert.equal(await shell(machine, "systemctl is-active redis-server"), "active", "Restart= starts it again");
        assert.notEqual(await shell(machine, "systemctl show -P MainPID redis-server"), pids[0]);
        for (const unit of UNITS.filter((name) => name !== "ssh.service")) {
          await shell(machine, `systemctl restart ${unit}`);
          assert.equal(await shell(machine, `systemctl is-active ${unit}`), "active");
          await shell(machine, `systemctl stop ${unit}`);
        }
        assert.equal(await shell(machine, "pgrep -x 'redis-server|nginx|memcached|cron' || true"), "");
      });
      assert.ok(existsSync(key));
    });
  });
}
