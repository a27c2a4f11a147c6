/**
 * A newer kernel arrives on a Debian 13 server that has kmonte's package beside needrestart and unattended-upgrades:
 * what each of them says before the swap and after it, and the package purged from the machine that was swapped.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { swapInGuest } from "../../lab/guest-swap.ts";
import { Machine } from "../../lab/machine.ts";

const PATIENCE_MS = 40 * 60_000;
const UNITS = ["redis-server", "nginx", "memcached"];

/** As the postinst of a kernel's package runs them; the initramfs is there already. */
const HOOKS = `v=$(basename /boot/vmlinuz-7.2*) && v=\${v#vmlinuz-} && export DEB_MAINT_PARAMS=configure DPKG_MAINTSCRIPT_PACKAGE="linux-image-$v" &&
run-parts --regex '^(unattended-upgrades|zz-kmonte)$' --arg="$v" --arg="/boot/vmlinuz-$v" /etc/kernel/postinst.d`;

/** needrestart(1): 1 says that the running kernel is the newest, 3 that a newer one waits for a restart. */
const KERNEL_STATE = "needrestart -k -b | sed -n 's/^NEEDRESTART-KSTA: //p'";

test("a newer kernel arrives on a server", { timeout: PATIENCE_MS }, async (t: TestContext) => {
  await using machine = await Machine.boot({
    system: { debian: "13", kind: "server", more: ["needrestart", "unattended-upgrades"] },
    kernel: "6.12",
    kernels: ["7.2"],
    packaged: true,
  });
  const shell = async (script: string): Promise<string> => (await machine.output(["sh", "-c", script])).trim();
  const mainPids = (): Promise<string> => shell(`systemctl show -P MainPID ${UNITS.join(" ")}`);
  await shell("systemctl is-system-running --wait");
  await machine.output(["kmonte", "protect", ...UNITS]);
  const before = await mainPids();

  await t.test("its hooks say which units go along, and that a restart is due", async () => {
    const said = await shell(HOOKS);
    for (const unit of UNITS) assert.match(said, new RegExp(`^kmonte: .*${unit}\\.service`, "m"), said);
    assert.match(said, /^kmonte: .*7\.2/m);
    assert.doesNotMatch(said, /refused/);
    assert.match(await shell("cat /run/reboot-required.pkgs"), /linux/);
    assert.equal(await shell(KERNEL_STATE), "3");
  });

  await t.test("after the swap, to the newest kernel without naming it, none is due any more", async () => {
    const begin = ["kmonte", "swap", "--yes"];
    const report = await swapInGuest(machine, { to: "7.2", begin });
    assert.ok(report.gapSeconds !== undefined && report.gapSeconds > 0);
    assert.equal(await mainPids(), before);
    assert.equal(await shell(`systemctl is-active ${UNITS.join(" ")} | sort -u`), "active");
    assert.equal(await shell("ls /run | grep reboot-required || true"), "");
    assert.equal(await shell(KERNEL_STATE), "1");
    assert.match(await shell("kmonte swap --plan 2>&1 || true"), /runs already|is running/);
  });

  await t.test("the package is purged, and the units that it took along go on", async () => {
    await shell("DEBIAN_FRONTEND=noninteractive apt-get purge --yes kmonte");
    assert.equal(await shell("ls -d /etc/kmonte /var/lib/kmonte /usr/lib/kmonte 2>/dev/null || true"), "");
    assert.equal(await mainPids(), before);
    assert.equal(await shell("redis-cli ping"), "PONG");
    await shell("systemctl restart nginx memcached");
    assert.equal(await shell(`systemctl is-active ${UNITS.join(" ")} | sort -u`), "active");
    assert.equal(await shell("systemctl is-system-running"), "running");
  });
});
