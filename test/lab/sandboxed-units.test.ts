/**
 * Services with all that systemd puts around one, of every Type=, through two reboots in a row: each has its processes,
 * its user, its folders, credentials, namespaces and its watchdog again, and does afterwards what it did before.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { DebianRelease } from "../../lab/bootstrap.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { Conversation, LINE_CLIENT } from "./conversation.ts";
import { BUS_POLICY, NAMED, RIVAL, type SandboxedUnit, sandboxedUnits } from "./sandboxed/units.ts";
import { countFrom, mainPid, shell, suspendAndReturn, WRONG } from "./suspending.ts";
import { serverMachine } from "./server-machine.ts";

const PATIENCE_MS = 10 * 60_000;
const SOURCES = join(import.meta.dirname, "sandboxed");

async function install(machine: NamespaceMachine, units: readonly SandboxedUnit[]): Promise<void> {
  for (const name of ["service.py", "service.js"])
    await machine.put(`/usr/local/lib/lab/${name}`, readFileSync(join(SOURCES, name)));
  await machine.put("/etc/lab/token", "a token\n");
  await machine.put("/etc/dbus-1/system.d/lab.conf", BUS_POLICY);
  for (const { name, text } of [...units, NAMED]) await machine.put(`/etc/systemd/system/${name}`, text);
  await machine.put("/etc/systemd/system/lab-rival.service", RIVAL);
  await shell(machine, "systemctl reload dbus && systemctl daemon-reload");
  for (const { name } of units) await shell(machine, `systemctl enable --quiet --now ${name}`);
  await shell(machine, `systemctl start ${NAMED.name}`);
}

async function eventually(holds: () => Promise<boolean>, what: string, patienceMs = 15_000): Promise<void> {
  for (const end = Date.now() + patienceMs; !(await holds()); await delay(100))
    if (Date.now() > end) assert.fail(`waited ${patienceMs} ms in vain for ${what}`);
}

/** Clients outside for the units with a port, and what asks the others from within their network. */
class Clients implements Disposable {
  readonly #all: ReadonlyMap<string, Conversation>;

  constructor(machine: NamespaceMachine, units: readonly SandboxedUnit[]) {
    const open = (port: number): Conversation =>
      new Conversation(machine, "python3", "-c", LINE_CLIENT, machine.network.reach(port, false).host, String(port));
    this.#all = new Map(units.flatMap(({ name, port }) => (port === undefined ? [] : [[name, open(port)] as const])));
  }

  ask(unit: string, line: string): Promise<string> {
    return (this.#all.get(`${unit}.service`) as Conversation).ask(line);
  }

  [Symbol.dispose](): void {
    for (const client of this.#all.values()) client[Symbol.dispose]();
  }
}

/** Asks a unit on its unix socket, from outside of its sandbox. */
function askInside(machine: NamespaceMachine, unit: string, line: string): Promise<string> {
  const script = `import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/${unit}/socket")
lines = s.makefile("rw")
lines.write(sys.argv[1] + "\\n")
lines.flush()
print(lines.readline().strip())`;
  return machine.output(["python3", "-c", script, line]).then((text) => text.trim());
}

const networkOf = async (machine: NamespaceMachine, unit: string): Promise<string> =>
  shell(machine, `readlink /proc/${await mainPid(machine, unit)}/ns/net`);

const everywhere = (text: string, ...places: string[]): string => places.map((place) => `${place}=${text}`).join(" ");

for (const debian of ["12", "13"] as const satisfies readonly DebianRelease[]) {
  describe(`sandboxed units of Debian ${debian}`, { timeout: PATIENCE_MS }, () => {
    test("they go through two reboots, and systemd agrees", async (t) => {
      const units = sandboxedUnits(debian !== "12");
      const names = units.map(({ name }) => name);
      await using machine = await NamespaceMachine.make(serverMachine(debian));
      assert.equal(await machine.boot({ beforeInit: countFrom(5000) }), "running");
      await install(machine, units);
      const named = await machine.run(["kmonte", "protect", "--json", NAMED.name]);
      assert.match(named.stdout.toString(), /UNIT_BUS_NAME/);
      const protect = await machine.run(["kmonte", "protect", ...names]);
      assert.equal(protect.code, 0, protect.stderr.toString());

      using clients = new Clients(machine, units);
      const user = await clients.ask("lab-dynamic", "user");
      const [uid = ""] = user.split(" ");
      // Somebody else would get it, for the folder that it has left there.
      await shell(machine, `mkdir -p /var/lib/private/lab-rival && chown ${uid}:${uid} /var/lib/private/lab-rival`);
      await shell(machine, "systemctl enable --quiet lab-rival");
      const strict = await clients.ask("lab-strict", "user");
      assert.match(strict, /^33 33 2 1$/, "www-data, with filters of calls");
      await clients.ask("lab-strict", "count");
      const users = await shell(machine, `cat /proc/${await mainPid(machine, "lab-users")}/uid_map`);

      let written = "";
      for (const round of [1, 2]) {
        await t.test(`reboot ${round}`, async () => {
          for (const name of ["lab-dynamic", "lab-strict", "lab-users", "lab-node"]) await clients.ask(name, "write a");
          written += written === "" ? "a" : "+a";
          const before = await Promise.all(names.map((name) => mainPid(machine, name)));
          const pings = Number(await clients.ask("lab-dynamic", "pings"));
          const ticks = Number(await clients.ask("lab-node", "ticks"));
          const peer = Number(await askInside(machine, "lab-joins", "peer"));
          assert.ok(peer > 0, "one unit talks to the other in their own network");

          await suspendAndReturn(machine);

          for (const [i, name] of names.entries()) {
            const pid = await mainPid(machine, name);
            if (pid !== before[i]) assert.fail(`${name} was started anew: ${await shell(machine, WRONG)}`);
            const shown = await shell(
              machine,
              `systemctl show -p ActiveState,SubState,ControlGroup,DropInPaths ${name}`,
            );
            assert.match(shown, /^ActiveState=active$/m, name);
            assert.match(shown, /^SubState=running$/m, name);
            assert.match(shown, /^DropInPaths=$/m, `${name}: nothing is left of kmonte's`);
            const groups = await shell(machine, `cat /proc/${before[i]}/cgroup`);
            assert.match(groups, new RegExp(`/system.slice/${name}$`, "m"));
          }
          // lab-strict was asked once before.
          assert.equal(await clients.ask("lab-strict", "count"), String(round + 1));
          assert.equal(await clients.ask("lab-forks", "count"), String(round));
          assert.equal(await clients.ask("lab-node", "count"), String(round));
          assert.ok(Number(await askInside(machine, "lab-joins", "peer")) >= peer);
          assert.equal(await askInside(machine, "lab-joins", "connects"), "1", "over the same connection");
          assert.equal(await clients.ask("lab-bus", "bus"), "closed");

          // The user that systemd has made up: for the processes, for systemd, and for its folders on the disk.
          assert.equal(await clients.ask("lab-dynamic", "user"), user);
          assert.equal(await shell(machine, "systemctl show -P UID lab-dynamic"), uid);
          // Since 257, folders of made-up users are nobody's on the disk.
          const owner = debian === "12" ? uid : "65534";
          assert.equal(await shell(machine, "stat -c %u /var/lib/private/lab-dynamic"), owner);
          const rival = await shell(machine, "systemctl is-active lab-rival && systemctl show -P UID lab-rival");
          assert.notEqual(rival.split("\n")[1], uid);
          assert.equal(await clients.ask("lab-strict", "user"), strict);
          assert.equal(await shell(machine, `cat /proc/${await mainPid(machine, "lab-users")}/uid_map`), users);
          assert.match(await clients.ask("lab-strict", "may-write /etc/lab/file"), /Read-only file system/);

          for (const name of ["lab-dynamic", "lab-strict", "lab-users"]) {
            const places = ["STATE", "RUNTIME", ...(name === "lab-dynamic" ? ["CACHE"] : []), "TMP", "VARTMP"];
            assert.equal(await clients.ask(name, "read"), everywhere(written, ...places), name);
            assert.equal(await clients.ask(name, "secret"), "a token", name);
          }
          assert.equal(await clients.ask("lab-node", "read"), written);
          assert.equal(await clients.ask("lab-node", "secret"), "a token");
          assert.match(await clients.ask("lab-node", "digest"), /^[0-9a-f]{32}$/);

          for (const name of ["lab-dynamic", "lab-node"]) {
            await clients.ask(name, `log round ${round} of ${name}`);
            const lines = (): Promise<string> => shell(machine, `journalctl -b -u ${name} -o cat --no-pager`);
            await eventually(
              async () => (await lines()).includes(`round ${round} of ${name}`),
              "its line in the journal",
            );
          }
          await eventually(
            async () => Number(await clients.ask("lab-dynamic", "pings")) > pings,
            "a ping to the watchdog",
            20_000,
          );
          assert.ok(Number(await clients.ask("lab-node", "ticks")) > ticks);
        });
        // Born outside of the time namespaces of the others.
        if (round === 1) await shell(machine, "systemctl restart lab-joins; sleep 1");
      }

      await t.test("they do what they did before", async () => {
        const pid = await mainPid(machine, "lab-dynamic");
        // Its clock has stood still, and that of the machine went on, as the kernel is the same: systemd takes what it says
        // about its reload (MONOTONIC_USEC= in sd_notify(3)) for older than the request. After a change of kernel it is ahead.
        const isTimed = (await shell(machine, "systemctl show -P Type lab-dynamic")) === "notify-reload";
        await shell(machine, isTimed ? "systemctl kill -s HUP lab-dynamic" : "systemctl reload lab-dynamic");
        await eventually(async () => (await clients.ask("lab-dynamic", "reloads")) === "1", "the reload");
        assert.equal(await mainPid(machine, "lab-dynamic"), pid);

        const network = await networkOf(machine, "lab-joins");
        await shell(machine, "systemctl restart lab-network");
        assert.equal(await networkOf(machine, "lab-network"), network, "it is in the network of who joins it");
        await eventually(
          async () => Number(await askInside(machine, "lab-joins", "connects")) > 1,
          "a connection to it",
        );

        await clients.ask("lab-dynamic", "hang");
        const restarts = (unit: string): Promise<string> => shell(machine, `systemctl show -P NRestarts ${unit}`);
        await eventually(async () => (await restarts("lab-dynamic")) === "1", "the watchdog's restart", 60_000);
        await eventually(
          async () => (await shell(machine, "systemctl is-active lab-dynamic || true")) === "active",
          "its start",
        );
        assert.equal(await shell(machine, "systemctl show -P UID lab-dynamic"), uid);
        assert.match(await shell(machine, "ls /var/lib/private/lab-dynamic"), /text/);

        for (const name of ["lab-node", "lab-forks"]) {
          await shell(machine, `kill -9 ${await mainPid(machine, name)}`);
          await eventually(async () => (await restarts(name)) === "1", `the restart of ${name}`);
        }
        await shell(machine, `systemctl stop ${names.join(" ")} lab-rival`);
        assert.equal(await shell(machine, "systemctl list-units --failed --plain --no-legend 'lab-*'"), "");
        assert.equal(await shell(machine, "pgrep -f 'lab/[s]ervice' || true"), "");
        assert.equal(
          await shell(machine, "ls -d /tmp/*-lab-* /var/tmp/*-lab-* /run/lab-* /run/credentials/lab-* || true"),
          "",
        );
        assert.equal(await shell(machine, "ls /run/systemd/dynamic-uid"), "", "nobody has the ids any more");
      });
    });
  });
}
