/**
 * A trial that the health command ends, after systemd has had its units: the boot of the old kernel gives it the same
 * processes again, each once. In a machine of namespaces all kernels are the same one, so between the boots the record of
 * a suspend is made one of a swap: everything else, and every boot, is real.
 */
import assert from "node:assert/strict";
import { release } from "node:os";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { FIRST_BOOT, mainPid, shell, suspend } from "./suspending.ts";
import { serverMachine } from "./server-machine.ts";

const PATIENCE_MS = 10 * 60_000;
const UNITS = ["nginx", "cron"];
const RECORD = "/var/lib/kmonte/swap/*/timeline.json";
const HEALTH = '"health": {"command": "touch /var/lib/asked; false", "seconds": 9}';

/** The kernel that runs is another one than the swap's, and its health is asked for. */
const ON_TRIAL = `sed -i 's/"kind": "suspend",//; s/"from": "[^"]*"/"from": "0.0.0", ${HEALTH.replaceAll("/", "\\/")}/' ${RECORD}\n`;
const OLD_KERNEL = `sed -i 's/"from": "0.0.0"/"from": "${release()}"/' ${RECORD}\n`;

describe("the way back of units", { timeout: PATIENCE_MS }, () => {
  test("leads to the same processes after systemd has had them on the new kernel", async () => {
    await using machine = await NamespaceMachine.make(serverMachine("12"));
    assert.equal(await machine.boot({ beforeInit: FIRST_BOOT }), "running");
    await machine.output(["kmonte", "protect", ...UNITS]);
    const pids = await Promise.all(UNITS.map((unit) => mainPid(machine, unit)));
    assert.equal(await suspend(machine), undefined);

    // It ends by itself, when the health command has said no.
    await machine.boot({ beforeInit: ON_TRIAL }).catch((error: unknown) => {
      if (!machine.asksForReboot) throw error;
    });
    for (const end = Date.now() + 60_000; !machine.asksForReboot; await delay(100))
      assert.ok(Date.now() < end, "the way back is taken");

    assert.equal(await machine.boot({ beforeInit: OLD_KERNEL }), "running", machine.console());
    await shell(machine, "test -e /var/lib/asked; systemctl start kmonte-hand-over.service 2>/dev/null || true");
    assert.deepEqual(await Promise.all(UNITS.map((unit) => mainPid(machine, unit))), pids);
    assert.equal(await shell(machine, "pgrep -x cron"), pids[1], "there is one of it");
    assert.equal(
      await shell(machine, "ls -d /etc/systemd/system/*.d /etc/systemd/system-generators 2>/dev/null || true"),
      "",
    );
    const report = await machine.output(["kmonte", "report"]);
    assert.match(report, /The health command says no/);
    assert.match(report, /nginx\.service +was active, is active, main process \d+, paused/);
  });
});
