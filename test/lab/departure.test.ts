/**
 * kmonte killed at steps of a departure (swap/depart.ts): either all goes on here as before, and nothing of it is left, or
 * the machine is left and all comes back. The machine is one of namespaces; what a swap has besides is the kexec.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { GuestRestarted } from "../../lab/channel.ts";
import { NamespaceMachine } from "../../lab/namespace-machine.ts";
import { until } from "../harness.ts";
import { serverMachine } from "./server-machine.ts";
import { shell } from "./suspending.ts";

const PATIENCE_MS = 20 * 60_000;
const MOST_KILLS = 20;
const STEPS = "/var/lib/steps";
const INJECT = "/opt/kmonte/test/faults/inject.ts";

/** Suspends with a fault; whether the machine was left. */
async function suspend(machine: NamespaceMachine, fault: string): Promise<boolean> {
  const variables = {
    NODE_OPTIONS: `--import=${INJECT} --disable-warning=ExperimentalWarning`,
    KMONTE_FAULT: fault,
  };
  const settings = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const command = ["env", ...settings, "kmonte", "suspend", "--restart", "--yes"];
  const answer = await machine.run(command).catch((error: unknown) => {
    if (!(error instanceof GuestRestarted)) throw error;
  });
  // 137: killed, by the fault or by the end of the machine.
  assert.ok(answer === undefined || answer.code === 137, answer?.stderr.toString());
  await until(() => machine.asksForReboot, "the end", 3000).catch(() => undefined);
  if (machine.asksForReboot || !(await isStopping(machine))) return machine.asksForReboot;
  await until(() => machine.asksForReboot, "the end of a machine that stops", 120_000);
  return true;
}

async function isStopping(machine: NamespaceMachine): Promise<boolean> {
  try {
    return (await shell(machine, "systemctl is-system-running || true")) === "stopping";
  } catch (error) {
    if (error instanceof GuestRestarted) return true;
    throw error;
  }
}

/** The last step of each kind, and of all these as many as there is time for: [name, which of that name]. */
function chosen(steps: readonly string[]): [name: string, nth: number][] {
  const last = [...Map.groupBy(steps, (step) => step)].map(([name, all]): [string, number] => [name, all.length]);
  const every = Math.max(1, Math.floor(last.length / MOST_KILLS));
  return last.filter((_, i) => (last.length - 1 - i) % every === 0).slice(-MOST_KILLS);
}

// Steps are met in the sources, which the machine is to have (test/faults/inject.ts).
delete process.env["KMONTE_TREE"];

describe("a departure that is killed", { timeout: PATIENCE_MS }, () => {
  test("leaves all units as they were, or brings them back", async () => {
    await using machine = await NamespaceMachine.make(serverMachine("12"));
    let boots = 0;
    const boot = async (): Promise<void> => {
      boots += 1;
      const range = 5000 + ((boots * 3000) % 25_000);
      assert.equal(await machine.boot({ beforeInit: `echo ${range} >/proc/sys/kernel/ns_last_pid` }), "running");
      await shell(machine, "systemctl start kmonte-hand-over.service 2>/dev/null || true");
    };
    await boot();
    assert.equal((await machine.run(["kmonte", "protect", "nginx"])).code, 0);
    const pid = await shell(machine, "systemctl show -P MainPID nginx");
    assert.equal(await suspend(machine, `count:${STEPS}`), true);
    await boot();
    const steps = (await shell(machine, `cat ${STEPS}`)).split("\n");
    assert.ok(steps.length > 20, `${steps.length} steps`);
    let left = 0;
    for (const [name, nth] of chosen(steps)) {
      const where = `killed at ${name} ${nth}`;
      if (await suspend(machine, `kill:${nth}:SIGKILL:${name}`)) {
        left += 1;
        await boot();
      }
      // The next command of root's removes what is left.
      await machine.run(["kmonte", "kernels"]);
      assert.equal(await shell(machine, "systemctl show -P MainPID nginx"), pid, where);
      assert.equal(await shell(machine, "systemctl is-active nginx"), "active", where);
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await shell(machine, "systemctl is-active redis-server || true")) === "active") break;
        await delay(100);
      }
      assert.equal(
        await shell(machine, "systemctl is-active redis-server || true"),
        "active",
        `${where}: started again`,
      );
      assert.equal(
        await shell(machine, "ls -d /etc/systemd/system/*.d /etc/systemd/system-generators 2>/dev/null || true"),
        "",
        where,
      );
      assert.equal(await shell(machine, "ls /var/lib/kmonte/swap/*/pending 2>/dev/null || true"), "", where);
      assert.equal(await shell(machine, "find /var/lib/kmonte -name '*.core'"), "", `${where}: no memory is kept`);
    }
    process.stdout.write(`${chosen(steps).length} kills, ${left} of them left the machine\n`);
  });
});
