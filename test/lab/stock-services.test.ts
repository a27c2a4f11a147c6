/**
 * All stock services of a Debian that the lab knows, on one machine, through two reboots in a row as one set, each with
 * a client: connections outside are kept, and what was written before is there afterwards. systemd has the same units
 * with the same processes, and shares the sockets of socket units with them.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { DEBIAN_SUITES, type DebianRelease } from "../../lab/bootstrap.ts";
import { temporaryDirectory } from "../../lab/lifetime.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { stockServices } from "../../lab/stock-services.ts";
import { runTool } from "../../lab/tool.ts";
import { ensurePackages } from "../../scripts/packages.ts";
import { Conversation } from "./conversation.ts";
import { bash as shell, suspendAndReturn } from "./suspending.ts";
import { Clients } from "./stock/clients.ts";

const PATIENCE_MS = 20 * 60_000;
const ROUNDS = [1, 2];

const file = (name: string): string => readFileSync(join(import.meta.dirname, "stock", name), "utf8");

/** Waits in the machine for a condition in bash; 90 s at most. */
async function holds(machine: NamespaceMachine, condition: string): Promise<void> {
  await shell(
    machine,
    `for i in {1..450}; do ${condition} && exit; sleep 0.2; done; echo 'in vain: ${condition}' >&2; exit 1`,
  );
}

/** Main process, state and drop-ins of each unit. */
function unitsOf(machine: NamespaceMachine, units: readonly string[]): Promise<string> {
  const properties = "Id,MainPID,ActiveState,SubState,Type,Result,NRestarts,DropInPaths";
  return shell(machine, `systemctl show -p ${properties} ${units.map((unit) => `'${unit}'`).join(" ")}`);
}

/** The sockets of each socket unit are those of its service, by their inodes: the same in systemd and in the main process. */
async function sharedSockets(machine: NamespaceMachine, sockets: readonly string[]): Promise<Record<string, number>> {
  const script = `for unit in ${sockets.join(" ")}; do
  systemctl is-active --quiet $unit || exit 1
  pid=$(systemctl show -P MainPID $(systemctl show -P Triggers $unit))
  links() { find /proc/$1/fd -lname 'socket:*' -printf '%l\\n' | sort -u; }
  echo $unit $(comm -12 <(links 1) <(links $pid) | wc -l)
done`;
  const lines = (await shell(machine, script)).split("\n").map((line) => line.split(" "));
  return Object.fromEntries(lines.map(([unit = "", count]) => [unit, Number(count)]));
}

/** What is asked inside of the machine, as those services have no protocol to the outside, or answer once a connection. */
async function askInside(machine: NamespaceMachine, round: number): Promise<void> {
  assert.match(await shell(machine, "epmd -names"), /name rabbit at port 25672/, "epmd");
  assert.match(await shell(machine, "chronyc -n sources"), /10\.77\.0\.1/, "chrony has the source that it was told of");
  assert.match(await shell(machine, "rpcinfo -p"), /400000 +1 +tcp +7777/, "rpcbind");
  await shell(machine, `logger -t lab 'after boot ${round}'`);
  await holds(machine, `grep -q 'lab: after boot ${round}$' /var/log/syslog`);
  await holds(machine, `grep -q 'round=${round} ' /var/log/varnish/varnishncsa.log`);
}

for (const debian of Object.keys(DEBIAN_SUITES) as DebianRelease[]) {
  const stock = stockServices(debian);
  const sockets = Object.keys(stock.sockets);

  describe(`stock services of Debian ${debian}`, { timeout: PATIENCE_MS }, () => {
    test(`all ${stock.units.length} go through two reboots as one set, each with a client`, async (t) => {
      ensurePackages(["openssh-client", "python3", "postgresql-client", "mariadb-client"]);
      using work = temporaryDirectory("kmonte-stock-");
      const key = join(work.path, "key");
      await runTool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
      await using machine = await NamespaceMachine.make(stock.machine);
      const state = await machine.boot({ beforeInit: "echo 5000 >/proc/sys/kernel/ns_last_pid" });
      assert.equal(
        state,
        "running",
        await shell(machine, "systemctl --failed --no-legend; journalctl -b -p err -o cat"),
      );
      await machine.put("/root/.ssh/authorized_keys", readFileSync(`${key}.pub`), 0o600);
      await machine.output(
        ["bash", "-c", file("settings.sh"), "settings.sh", stock.php, stock.postgresql, stock.tomcat],
        { timeoutMs: 180_000 },
      );
      await machine.output(["python3", "-c", file("register.py")]);

      using clients = new Clients(machine, stock);
      const options = ["-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
      const loop = 'n=0; while read line; do n=$((n+1)); echo "$line $n $$"; done';
      using login = new Conversation(machine, "ssh", ...options, `root@${machine.network.reach(22, false).host}`, loop);
      const session = (await login.ask("hello")).split(" ")[2];
      await clients.ask(0);
      await askInside(machine, 0);
      assert.deepEqual(await sharedSockets(machine, sockets), stock.sockets);

      const protect = await machine.run(["kmonte", "protect", "--all"]);
      assert.equal(protect.code, 0, protect.stderr.toString());
      const { services } = JSON.parse(await machine.output(["kmonte", "services", "--protected", "--json"])) as {
        services: { unit: string; verdict: string; refusals: unknown }[];
      };
      assert.deepEqual(services.map(({ unit }) => unit).sort(), stock.units);
      for (const { unit, verdict, refusals } of services)
        assert.equal(verdict, "along", `${unit}: ${JSON.stringify(refusals)}`);
      const before = await unitsOf(machine, stock.units);

      for (const round of ROUNDS) {
        await t.test(`reboot ${round}`, async () => {
          const booted = await shell(
            machine,
            "systemctl kill --kill-who=main -s STOP rsyslog; logger -t lab 'waited %d'; date +%s".replace(
              "%d",
              String(round),
            ),
          );
          await suspendAndReturn(machine);
          await shell(machine, "systemctl kill --kill-who=main -s CONT rsyslog");
          assert.equal(await unitsOf(machine, stock.units), before);
          assert.deepEqual(await sharedSockets(machine, sockets), stock.sockets);
          await clients.ask(round);
          assert.equal(await login.ask("again"), `again ${round + 1} ${session}`);
          await askInside(machine, round);
          await holds(machine, `grep -q 'lab: waited ${round}$' /var/log/syslog`);
          await holds(machine, `[ "$(tail -n 1 /var/log/lab-cron)" -gt ${booted} ]`);
        });
      }

      await t.test("nothing was lost, and units do what they did before", async () => {
        await clients.end();
        await holds(machine, "grep -q 'Begun before two reboots' /var/mail/root");
        const lines = await shell(machine, "grep -o 'lab: .*' /var/log/syslog | sort");
        const expected = [0, ...ROUNDS].map((round) => `lab: after boot ${round}`);
        assert.equal(lines, [...expected, ...ROUNDS.map((round) => `lab: waited ${round}`)].join("\n"));
        for (const unit of sockets) {
          const service = await shell(machine, `systemctl show -P Triggers ${unit}`);
          await shell(machine, `systemctl restart ${service}`);
        }
        assert.deepEqual(
          await sharedSockets(machine, sockets),
          stock.sockets,
          "started anew, they get the same sockets",
        );
        assert.match(await shell(machine, "mariadb -N -e 'select count(*) from lab.t'"), /^3$/);
        await shell(machine, "systemctl stop rpcbind.service rpcbind.socket 2>/dev/null");
        assert.equal(await shell(machine, "ss -Hltn 'sport = 111'"), "");
        assert.equal(await shell(machine, "pgrep -x rpcbind || true"), "");
      });
    });
  });
}
