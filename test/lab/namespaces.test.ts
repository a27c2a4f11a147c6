/** A machine made of namespaces: stock services in it, clients outside, reboots, and nothing left of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { cacheDirectory } from "../../lab/cache.ts";
import { controlGroupRoot } from "../../lab/control-groups.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { runTool } from "../../lab/tool.ts";
import { runningServices, surveyUnit, verdictLine } from "../../lab/unit-survey.ts";
import { ensurePackages } from "../../scripts/packages.ts";
import { parseResult } from "../json-schemas.ts";
import { serverMachine } from "./server-machine.ts";
import { shell } from "./suspending.ts";

/** With the making of two Debians, when they are not in the cache. */
const PATIENCE_MS = 15 * 60_000;

/** Runs a program where clients are. */
async function outside(machine: NamespaceMachine, command: string, ...args: string[]): Promise<string> {
  const [tool, all] = machine.network.inside(command, ...args);
  return (await runTool(tool, all)).trim();
}

async function redis(machine: NamespaceMachine, six: boolean, ...command: string[]): Promise<string> {
  const { host, port } = machine.network.reach(6379, six);
  return outside(machine, "redis-cli", "-h", host, "-p", String(port), ...command);
}

/** What the web server answers. */
async function web(machine: NamespaceMachine, six: boolean): Promise<string> {
  const { host } = machine.network.reach(80, six);
  const url = `http://${six ? `[${host}]` : host}/`;
  const script = "fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)";
  return outside(machine, process.execPath, "-e", script, url);
}

/** Lets redis serve others than its own machine; the settings are on the disk. */
const OPEN_REDIS = `sed -i 's/^bind .*/bind * -::*/; s/^protected-mode yes/protected-mode no/' /etc/redis/redis.conf
systemctl restart redis-server`;

/** Everything of a machine that this kernel still has. */
function remains(name: string): string[] {
  const found = [cacheDirectory(), controlGroupRoot()].flatMap((directory) =>
    readdirSync(directory)
      .filter((entry) => entry.includes(name))
      .map((entry) => join(directory, entry)),
  );
  for (const file of globSync("/sys/block/loop*/loop/backing_file")) {
    if (textOf(file).includes(name)) found.push(`${file}: ${textOf(file).trim()}`);
  }
  if (textOf("/proc/self/mountinfo").includes(name)) found.push("a mount");
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    // All that runs in a machine is in its control groups; what starts it has its name in arguments or environment.
    const texts = ["cgroup", "cmdline", "environ"].map((file) => textOf(`/proc/${pid}/${file}`));
    if (texts.some((text) => text.includes(name))) found.push(`${pid}: ${texts[1]?.replaceAll("\0", " ")}`);
  }
  return found;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

describe("machines made of namespaces", { timeout: PATIENCE_MS }, () => {
  for (const debian of ["12", "13"] as const) {
    test(`Debian ${debian} serves, reboots, keeps its disk, and leaves nothing`, async (t) => {
      ensurePackages(["redis-tools"]);
      let name = "";
      {
        await using machine = await NamespaceMachine.make(serverMachine(debian));
        assert.equal(await machine.boot(), "running");
        name = machine.name;
        assert.ok(remains(name).length > 4, "there is something to remove");
        await shell(machine, OPEN_REDIS);

        await t.test("clients outside reach its services, by IPv4 and IPv6", async () => {
          assert.equal(await redis(machine, false, "set", "key", "value"), "OK");
          assert.equal(await redis(machine, true, "save"), "OK");
          for (const six of [false, true]) assert.match(await web(machine, six), /Welcome to nginx/);
          const { host } = machine.network.reach(0, false);
          await assert.rejects(runTool("timeout", ["2", "redis-cli", "-h", host, "ping"]), "the host itself does not");
        });

        await t.test("a reboot renews all but the disk", async () => {
          await shell(machine, "touch /run/old /tmp/old /dev/shm/old /var/lib/old; ipcmk -Q");
          const before = machine.bootId;
          assert.equal(await shell(machine, "cat /proc/sys/kernel/random/boot_id"), before);
          const left = await machine.start(["sh", "-c", "echo begun; exec sleep 1000"], "/var/lib/left.log");
          assert.equal(await shell(machine, `until grep begun /var/lib/left.log; do sleep 0.1; done`), "begun");
          assert.equal(await shell(machine, `ps -o ppid= -o comm= ${left}`), "1 sleep");

          const beforeInit = `set -e
            mkdir -p /run/systemd/system/nginx.service.d
            printf '[Service]\\nNice=7\\n' >/run/systemd/system/nginx.service.d/lab.conf
            echo "$$ $(cat /proc/1/comm) $(ls /run)" >/var/lib/before-init`;
          assert.equal(await machine.reboot({ beforeInit }), "running");
          assert.notEqual(machine.bootId, before);
          assert.equal(await shell(machine, "cat /proc/sys/kernel/random/boot_id"), machine.bootId);
          assert.equal(
            await shell(
              machine,
              "ls -d /run/old /tmp/old /dev/shm/old /var/lib/old 2>&-; ipcs -q | grep -c 0x || true",
            ),
            "/var/lib/old\n0",
          );
          assert.equal(await shell(machine, `ps -eo comm | grep -cx sleep || true`), "0");
          assert.match(await shell(machine, "cat /var/lib/before-init"), /^\d\d boot\.sh lab$/m);
          assert.equal(await shell(machine, "ps -o ni= $(systemctl show -P MainPID nginx)"), "7");
          assert.equal(
            (await shell(machine, "journalctl --list-boots --no-pager -q -o json | grep -o boot_id")).split("\n")
              .length,
            2,
          );
          assert.equal(await redis(machine, false, "get", "key"), "value");
        });

        await t.test("a restart stops the units, and boots again", async () => {
          assert.equal(await redis(machine, false, "set", "key", "asked"), "OK");
          assert.equal(await machine.restart(), "running");
          assert.match(await shell(machine, "journalctl -b -1 -u redis-server --no-pager -o cat"), /Stopped/);
          assert.equal(
            await redis(machine, false, "get", "key"),
            "asked",
            "redis saves when it is stopped, not when it is killed",
          );
          assert.equal(await shell(machine, "systemctl show -P Nice nginx"), "0", "what was in /run is gone");
        });

        await t.test("kmonte runs in it", async () => {
          const check = await machine.run(["kmonte", "check", "--json", "--all"]);
          assert.equal(check.code, 0, check.stderr.toString());
          parseResult("check --all", check.stdout);
          assert.ok((await runningServices(machine)).includes("nginx.service"));
          const verdict = await surveyUnit(machine, "nginx.service");
          assert.equal(verdict.status, 0, verdictLine(verdict));
          await machine.output(["systemctl", "stop", "nginx"]);
          assert.equal((await surveyUnit(machine, "nginx.service")).status, undefined);
        });

        await t.test("what was frozen before a reboot is thawed before systemd starts", async () => {
          // Ids that the next boot does not take itself.
          await machine.reboot({ beforeInit: "echo 3000 >/proc/sys/kernel/ns_last_pid" });
          const pid = await shell(machine, "systemctl show -P MainPID nginx");
          await shell(machine, `mkdir /var/lib/images && kmonte freeze ${pid} -o /var/lib/images/nginx`);
          const beforeInit = "kmonte thaw /var/lib/images/nginx && systemctl mask --runtime nginx";
          assert.equal(await machine.reboot({ beforeInit }), "running", machine.console());
          assert.equal(await shell(machine, `ps -o ppid= -o comm= ${pid}`), "1 nginx");
          assert.equal(await shell(machine, "systemctl is-active nginx || true"), "inactive");
          assert.match(await web(machine, false), /Welcome to nginx/);
        });

        await t.test("commands that fail, and that do not end, are told", async () => {
          assert.equal((await machine.run(["sh", "-c", "kill -TERM $$"])).code, 143);
          await assert.rejects(machine.output(["false"]), { code: "LAB_GUEST_COMMAND_FAILED" });
          for (const script of ["exec sleep 1000", "sleep 2 &"]) {
            const late = machine.run(["sh", "-c", script], { timeoutMs: 500 });
            await assert.rejects(late, { code: "LAB_COMMAND_LATE" });
          }
          await shell(machine, "while pgrep -x sleep >/dev/null; do :; done");
          assert.equal(await shell(machine, `ps -eo comm | grep -cx sleep || true`), "0");
          await machine.put("/root/a b/file", "text\n", 0o600);
          assert.equal(String(await machine.get("/root/a b/file")), "text\n");
        });
      }
      assert.deepEqual(remains(name), []);
    });
  }

  test("two run at once; a boot that fails says why", async () => {
    await using one = await NamespaceMachine.make(serverMachine("12"));
    await using other = await NamespaceMachine.make(serverMachine("12"));
    assert.deepEqual(await Promise.all([one.boot(), other.boot()]), ["running", "running"]);
    for (const machine of [one, other]) await shell(machine, OPEN_REDIS);
    await Promise.all([redis(one, false, "set", "who", "one"), redis(other, false, "set", "who", "other")]);
    assert.equal(await redis(one, false, "get", "who"), "one");
    await assert.rejects(other.reboot({ beforeInit: "echo no way >&2; exit 9" }), {
      code: "LAB_MACHINE_FAILED",
      why: /no way\n.*failed \(9\)/,
    });
    const waits = `mkdir -p /run/systemd/system/multi-user.target.wants
      printf '[Service]\nType=oneshot\nExecStart=sleep 1000\n' >/run/systemd/system/waits.service
      ln -s ../waits.service /run/systemd/system/multi-user.target.wants`;
    await assert.rejects(other.boot({ beforeInit: waits, timeoutMs: 3_000 }), {
      code: "LAB_MACHINE_FAILED",
      why: /after 3 s;[^]*waits\.service +start +running/,
    });
    assert.equal(await other.reboot(), "running");
  });

  test("a command that runs while the machine reboots is told so", async () => {
    await using machine = await NamespaceMachine.make(serverMachine("12"));
    await machine.boot();
    for (const again of [() => machine.reboot(), () => machine.restart()]) {
      const waiting = assert.rejects(machine.run(["sleep", "1000"]), { code: "LAB_GUEST_RESTARTED" });
      await delay(200);
      assert.equal(await again(), "running");
      await waiting;
    }
    await machine.run(["systemctl", "reboot"]).catch(() => {});
    await machine.settled();
    assert.equal(machine.asksForReboot, true);
    assert.equal(await machine.boot(), "running");
    await machine.powerOff();
    assert.equal(machine.asksForReboot, false);
    await assert.rejects(machine.run(["true"]), { code: "LAB_NOT_BOOTED" });
  });

  for (const signal of ["SIGKILL", "SIGINT"] as const) {
    test(`nothing is left when the program is ended by ${signal}`, async () => {
      const module = join(import.meta.dirname, "../../lab/namespace-machine.ts");
      const program = `
        import { NamespaceMachine } from ${JSON.stringify(module)};
        await using machine = await NamespaceMachine.make(${JSON.stringify(serverMachine("12"))});
        await machine.boot();
        console.log(JSON.stringify({ name: machine.name, init: machine.init }));
        await machine.run(["sleep", "1000"]);`;
      const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], { stdio: "pipe" });
      const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
      const { name, init } = JSON.parse(line) as { name: string; init: number };
      assert.ok(remains(name).length > 4, "there is something to remove");
      child.kill(signal);
      await once(child, "close");
      const end = Date.now() + 20_000;
      while (remains(name).length > 0 && Date.now() < end) await delay(100);
      assert.deepEqual(remains(name), []);
      assert.equal(existsSync(`/proc/${init}`), false);
    });
  }
});
