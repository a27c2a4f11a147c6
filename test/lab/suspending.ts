/** Suspends a machine of namespaces and boots it again: what is common to the tests that do so. */
import assert from "node:assert/strict";
import { GuestRestarted } from "../../lab/channel.ts";
import type { Answer } from "../../lab/channel.ts";
import type { NamespaceMachine, SystemState } from "../../lab/namespace-machine.ts";
import type { SwapReport } from "../../src/swap/report.ts";
import { until } from "../harness.ts";
import { parseResult } from "../json-schemas.ts";

/** What a script for sh(1) that succeeds writes, without blanks around it. */
export async function shell(machine: NamespaceMachine, script: string): Promise<string> {
  return (await machine.output(["sh", "-c", script])).trim();
}

/** The same for a script for bash(1). */
export async function bash(machine: NamespaceMachine, script: string): Promise<string> {
  return (await machine.output(["bash", "-c", script])).trim();
}

/** Runs kmonte suspend; undefined when the machine was left by it. */
export async function suspend(machine: NamespaceMachine, ...options: string[]): Promise<Answer | undefined> {
  const said = await machine.run(["kmonte", "suspend", "--restart", "--yes", ...options]).catch((error: unknown) => {
    if (!(error instanceof GuestRestarted)) throw error;
  });
  if (said && said.code !== 137) return said;
  await until(() => machine.asksForReboot, "the end of the boot", 30_000);
  return undefined;
}

/** The beginning of a script for the next boot: ids below those in use are kept free, as a swap's initramfs does. */
export function countFrom(pid: number): string {
  return `echo ${pid} >/proc/sys/kernel/ns_last_pid\n`;
}

export const mainPid = (machine: NamespaceMachine, unit: string): Promise<string> =>
  shell(machine, `systemctl show -P MainPID ${unit}`);

/** The first ids of a machine are those of its kernel's threads, and of whoever asks whether it has booted. */
export const FIRST_BOOT = countFrom(100);

/** What there is to say of a boot after which something is wrong. */
export const WRONG = `systemctl --failed --no-legend; journalctl -b -p warning -o cat --no-pager | tail -40; kmonte report;
journalctl -b -u kmonte-thaw -o cat --no-pager | tail -40`;

/** Suspends and boots; gives what systemd says at the end of the boot. `script` runs before systemd. */
export async function suspendAndBoot(machine: NamespaceMachine, script = ""): Promise<SystemState> {
  const said = await suspend(machine);
  assert.ok(!said, said?.stderr.toString());
  const state = await machine.boot({ beforeInit: script });
  await machine.run(["systemctl", "start", "kmonte-hand-over.service"]);
  return state;
}

/** The same, where all units come back. */
export async function suspendAndReturn(machine: NamespaceMachine): Promise<void> {
  const state = await suspendAndBoot(machine);
  const report = parseResult<SwapReport>("report", await machine.output(["kmonte", "report", "--json"]));
  if (state !== "running" || report.state !== "done") assert.fail(`${state}: ${await shell(machine, WRONG)}`);
}
