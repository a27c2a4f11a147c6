/**
 * The Debian package on Debian 12 and 13: installed, used over a restart, upgraded while images of the older one lie
 * there, removed, and purged without a trace.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { DebianRelease } from "../../lab/bootstrap.ts";
import { kmonteDeb } from "../../lab/kmonte-deb.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { Conversation, LINE_CLIENT } from "./conversation.ts";
import { serverMachine } from "./server-machine.ts";
import { FIRST_BOOT, mainPid, shell, suspendAndReturn } from "./suspending.ts";

const PATIENCE_MS = 12 * 60_000;
const NEXT = "0.1.0+next";

/** Everything of that name outside of what is mounted and of dpkg's and apt's own notes. */
const TRACES = `find / -xdev -name '*kmonte*' -not -path '/opt/*' -not -path '/tmp/*' -not -path '/run/*' \\
  -not -path '/var/log/*' -not -path '/var/lib/systemd/deb-systemd*' -not -path '/sys/*' -not -path '/proc/*' | sort`;

async function install(machine: NamespaceMachine, version?: string): Promise<string> {
  const { path } = await kmonteDeb(version);
  await machine.put("/tmp/kmonte.deb", readFileSync(path));
  return await apt(machine, "install", "/tmp/kmonte.deb");
}

/** What apt and the scripts of the package write; throws it when apt fails. */
async function apt(machine: NamespaceMachine, ...args: string[]): Promise<string> {
  const command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends", ...args];
  const { code, stdout, stderr } = await machine.run(command, { timeoutMs: 240_000 });
  const said = stdout.toString() + stderr.toString();
  if (code !== 0) throw new Error(said);
  return said;
}

for (const debian of ["12", "13"] satisfies DebianRelease[]) {
  describe(`the package on Debian ${debian}`, { timeout: PATIENCE_MS }, () => {
    test("is installed, used, upgraded, removed and purged", async (t) => {
      await using machine = await NamespaceMachine.make(serverMachine(debian));
      assert.equal(await machine.boot({ beforeInit: FIRST_BOOT }), "running");
      // The lab's own link would come first.
      await shell(machine, "rm /usr/local/bin/kmonte");
      const traces = await shell(machine, TRACES);
      await install(machine);
      assert.equal(await shell(machine, "readlink -f $(command -v kmonte)"), "/usr/lib/kmonte/bin/kmonte");

      await t.test("starts nothing by itself, and its units are in order", async () => {
        const units = "kmonte-swap.service kmonte-swap.timer kmonte.socket kmonte.service";
        assert.equal(await shell(machine, `systemctl is-active ${units} | sort -u`), "inactive");
        assert.equal(
          await shell(machine, "systemctl is-enabled kmonte-swap.timer kmonte.socket | sort -u"),
          "disabled",
        );
        assert.equal(await shell(machine, `systemd-analyze verify --man=no ${units} 2>&1 | grep kmonte || true`), "");
        assert.equal(await shell(machine, "systemctl is-system-running"), "running");
      });

      await t.test("its completion and its examples are in order", async () => {
        const complete = "COMP_WORDS=(kmonte protect redis); COMP_CWORD=2; _kmonte; echo $COMPREPLY";
        const file = "/usr/share/bash-completion/completions/kmonte";
        assert.equal((await machine.output(["bash", "-c", `. ${file}; ${complete}`])).trim(), "redis-server.service");
        await shell(machine, "run-parts --test /etc/kernel/postinst.d | grep -q /zz-kmonte");
      });

      await shell(machine, "kmonte protect redis-server");
      const pid = await mainPid(machine, "redis-server");
      const redis = ["python3", "-c", LINE_CLIENT, machine.network.reach(6379, false).host, "6379"] as const;
      await shell(machine, "redis-cli config set protected-mode no; redis-cli config set bind '* -::*'");
      using client = new Conversation(machine, ...redis);
      assert.equal(await client.ask("INCR n"), ":1");

      await t.test("an unattended swap that is refused says why, also where no mail can be sent", async () => {
        await machine.put("/etc/kmonte/swap.conf", "Mail=root\n");
        const { code, stderr } = await machine.run(["kmonte", "swap", "--unattended"]);
        assert.equal(code, 3);
        assert.match(stderr.toString(), /note: The mail to root could not be sent.*sendmail.*ENOENT/);
        assert.match(stderr.toString(), /\[IN_CONTAINER\]/);
      });

      await t.test("the hook for new kernels says what stands in the way, and never fails", async () => {
        await shell(machine, "mkdir -p /boot; touch /boot/vmlinuz-9.9.9 /boot/initrd.img-9.9.9");
        const said = await shell(machine, "/etc/kernel/postinst.d/zz-kmonte 9.9.9 /boot/vmlinuz-9.9.9");
        assert.match(said, /^kmonte: kmonte swap --to 9\.9\.9 would be refused:$/m);
        assert.match(said, /^kmonte: {3}The kernel cannot be changed from here\. \[IN_CONTAINER\]$/m);
        assert.match(said, /^kmonte: {3}.*\[KERNEL_BROKEN\]$/m);
        assert.match(await shell(machine, "/etc/kernel/postinst.d/zz-kmonte 1.1.1 2>&1"), /\[NO_SUCH_KERNEL\]/);
        await shell(machine, "rm /boot/*-9.9.9");
      });

      await t.test("takes a unit over a restart", async () => {
        await suspendAndReturn(machine);
        assert.equal(await mainPid(machine, "redis-server"), pid);
        assert.equal(await client.ask("INCR n"), ":2");
      });

      await t.test("is not upgraded under a swap that is under way", async () => {
        await shell(
          machine,
          "flock /var/lib/kmonte/swap sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/var/tmp/holder",
        );
        await assert.rejects(install(machine, NEXT), /under way/);
        await shell(machine, "pkill -P $(cat /var/tmp/holder)");
        assert.equal(
          await shell(machine, "dpkg-query -Wf '${Version} ${Status}' kmonte"),
          "0.1.0 install ok installed",
        );
      });

      await t.test("is upgraded in place; the next version takes images of the one before", async () => {
        await shell(machine, "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/var/tmp/sleep");
        await shell(machine, "kmonte freeze $(cat /var/tmp/sleep) --output /var/tmp/image");
        await install(machine, NEXT);
        assert.equal(await shell(machine, "dpkg-query -Wf '${Version}' kmonte"), NEXT);
        assert.match(await shell(machine, "kmonte services --protected"), /redis-server.service/);
        await shell(machine, "kmonte thaw /var/tmp/image && kill $(cat /var/tmp/sleep) && rm -r /var/tmp/image");
        await suspendAndReturn(machine);
        assert.equal(await mainPid(machine, "redis-server"), pid);
        assert.equal(await client.ask("INCR n"), ":3");
      });

      await t.test("is not removed while processes wait to be thawed", async () => {
        await shell(machine, "touch $(ls -d /var/lib/kmonte/swap/*/ | tail -n 1)pending");
        await assert.rejects(apt(machine, "remove", "kmonte"), /wait to be thawed/);
        await shell(machine, "rm /var/lib/kmonte/swap/*/pending");
      });

      await t.test("is purged without a trace, and the unit that it took along goes on", async () => {
        await apt(machine, "remove", "kmonte");
        assert.equal(
          await shell(machine, "ls /etc/systemd/system /etc/systemd/system/*.wants | grep kmonte || true"),
          "",
        );
        assert.match(await shell(machine, "ls -A /etc/kmonte"), /machine.key/);
        await apt(machine, "purge", "kmonte");
        assert.equal(await shell(machine, TRACES), traces);
        assert.equal(await shell(machine, "systemctl daemon-reload; systemctl is-system-running"), "running");
        assert.equal(await client.ask("INCR n"), ":4");
      });
    });
  });
}
