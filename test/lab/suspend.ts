/** Suspending a machine of namespaces, which ends it, and booting it again. */
import assert from "node:assert/strict";
import { GuestRestarted } from "../../lab/channel.ts";
import type { NamespaceMachine, SystemState } from "../../lab/namespace-machine.ts";
import { until } from "../harness.ts";

/**
 * As `kmonte suspend --restart` does it; gives what systemd says at the end of the boot. Ids below those in use are kept
 * free, as a swap's initramfs does; `script` runs before systemd.
 */
export async function suspendAndBoot(machine: NamespaceMachine, round: number, script = ""): Promise<SystemState> {
  const said = await machine.run(["kmonte", "suspend", "--restart", "--yes"]).catch((error: unknown) => {
    if (!(error instanceof GuestRestarted)) throw error;
  });
  await until(() => machine.asksForReboot, `the end of the boot: ${said?.stderr.toString()}`, 30_000);
  const beforeInit = `echo ${20_000 * round} >/proc/sys/kernel/ns_last_pid\n${script}`;
  const state = await machine.boot({ beforeInit });
  await machine.run(["systemctl", "start", "kmonte-hand-over.service"]);
  return state;
}

/** The same, where all is well afterwards. */
export async function suspendAndReturn(machine: NamespaceMachine, round: number): Promise<void> {
  assert.equal(await suspendAndBoot(machine, round), "running", machine.console());
}
