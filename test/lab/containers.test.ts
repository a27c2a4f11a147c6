/**
 * Containers through two reboots in a row: one of podman, of an image, in scopes of its own, and one of systemd-nspawn, a
 * unit. Their clients go on, and those who manage them find them as they were.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DebianRelease } from "../../lab/bootstrap.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { Conversation, LINE_CLIENT } from "./conversation.ts";
import { countFrom, mainPid, shell, suspendAndReturn } from "./suspending.ts";

const PATIENCE_MS = 10 * 60_000;
const PACKAGES = ["podman", "crun", "netavark", "iptables", "systemd-container", "busybox-static", "libpam-systemd"];
const PORTS = { podman: 8001, nspawn: 8002 } as const;

/** A root directory, an image of it, and a container of each kind that gives back what it is sent. */
const MAKE = `set -e
mkdir -p /srv/box/bin /srv/box/usr /srv/box/etc /srv/box/tmp /srv/box/proc /srv/box/sys /srv/box/dev /srv/box/run
cp /bin/busybox /srv/box/bin/
for name in sh cat nc; do ln -s busybox /srv/box/bin/$name; done
touch /srv/box/etc/os-release
tar -C /srv/box -c . | podman import --quiet - box
podman run -d --privileged --pids-limit=0 --ulimit host --network host --name box box nc -ll -p ${PORTS.podman} -e cat
systemctl daemon-reload
systemctl start lab-nspawn`;

const NSPAWN = `[Service]
Type=notify
KillMode=mixed
Delegate=yes
MemoryPressureWatch=off
ExecStart=/usr/bin/systemd-nspawn --quiet --machine=nspawn -D /srv/box nc -ll -p ${PORTS.nspawn} -e cat
`;

const BRIDGED = `podman run -d --privileged --pids-limit=0 --ulimit host --name bridged box nc -ll -p 8003 -e cat >/dev/null
podman inspect --format '{{.Id}}' bridged`;

for (const debian of ["12", "13"] as const satisfies readonly DebianRelease[]) {
  describe(`containers of Debian ${debian}`, { timeout: PATIENCE_MS }, () => {
    test("podman and systemd-nspawn have theirs again after each of two reboots", async (t) => {
      await using machine = await NamespaceMachine.make({ debian, packages: PACKAGES });
      assert.equal(await machine.boot({ beforeInit: countFrom(5000) }), "running");
      await machine.put("/etc/systemd/system/lab-nspawn.service", NSPAWN);
      await shell(machine, MAKE);

      const open = (port: number): Conversation =>
        new Conversation(machine, "python3", "-c", LINE_CLIENT, machine.network.reach(port, false).host, String(port));
      using podman = open(PORTS.podman);
      using nspawn = open(PORTS.nspawn);
      assert.equal(await podman.ask("before"), "before");
      assert.equal(await nspawn.ask("before"), "before");
      await shell(machine, "podman exec box sh -c 'echo kept >/tmp/kept'");

      const bridged = await shell(machine, BRIDGED);
      const refused = await machine.run(["kmonte", "protect", "--json", `libpod-${bridged}.scope`]);
      assert.match(refused.stdout.toString(), /UNIT_BRIDGED/);
      await shell(machine, "podman rm --force --time 0 bridged");

      const protect = await machine.run(["kmonte", "protect", "lab-nspawn", "libpod-*.scope"]);
      assert.equal(protect.code, 0, protect.stderr.toString());
      const pid = (): Promise<string> => shell(machine, "podman inspect --format '{{.State.Pid}}' box");
      const [inPodman, inNspawn] = [await pid(), await mainPid(machine, "lab-nspawn")];
      const group = await shell(machine, `cat /proc/${inPodman}/cgroup`);
      const leader = await shell(machine, "machinectl show --property Leader nspawn");

      for (const round of [1, 2]) {
        await t.test(`reboot ${round}`, async () => {
          await suspendAndReturn(machine);
          assert.equal(await podman.ask(`round ${round}`), `round ${round}`);
          assert.equal(await nspawn.ask(`round ${round}`), `round ${round}`);
          assert.match(await shell(machine, "podman ps --format '{{.Names}} {{.Status}}'"), /^box Up /);
          assert.equal(await pid(), inPodman);
          assert.equal(await shell(machine, "podman exec box cat /tmp/kept"), "kept");
          assert.equal(await shell(machine, `cat /proc/${inPodman}/cgroup`), group);
          assert.match(await shell(machine, "podman top box args"), /nc -ll/);
          assert.equal(await mainPid(machine, "lab-nspawn"), inNspawn);
          assert.equal(await shell(machine, "machinectl show --property Leader nspawn"), leader);
        });
      }

      await t.test("they end and begin as before", async () => {
        await shell(machine, "podman stop --time 1 box && podman start box");
        using again = open(PORTS.podman);
        assert.equal(await again.ask("again"), "again");
        assert.equal(await shell(machine, "podman exec box cat /tmp/kept"), "kept");
        await shell(machine, "podman rm --force --time 0 box && systemctl stop lab-nspawn");
        assert.equal(
          await shell(machine, "podman ps --all --quiet; machinectl list --no-legend; pgrep -x conmon || true"),
          "",
        );
      });
    });
  });
}
