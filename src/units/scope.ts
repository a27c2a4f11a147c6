/** Gives processes of a session or container a scope again (systemd.scope(5)), by StartTransientUnit of org.freedesktop.systemd1(5). */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { orIfGone } from "../lib/no-such-file.ts";
import type { MemberUnit } from "./hand-over.ts";
import { registerMachine } from "./machined.ts";
import { folderOfGroup, readUnits } from "./unit.ts";

/** A scope of the same name in the same slice; what has ended meanwhile is left out. Returns why it did not work, if so. */
export async function giveScope(unit: MemberUnit): Promise<string | undefined> {
  const { name, description, slice, processes, machine } = unit;
  const below = processes.filter(({ group }) => group !== "");
  const pids = processes.map(({ pid }) => pid).filter((pid) => existsSync(`/proc/${pid}`));
  if (pids.length === 0) return undefined;
  const properties = [
    ["Description", "s", description],
    ["Slice", "s", slice],
    ["PIDs", "au", String(pids.length), ...pids.map(String)],
    // As logind has it for sessions: shells end at SIGHUP alone.
    ...(name.startsWith("session-") ? [["SendSIGHUP", "b", "true"]] : []),
    ["CollectMode", "s", "inactive-or-failed"],
    // Whoever has made groups below its own, as containers do, manages them.
    ...(below.length > 0 ? [["Delegate", "b", "true"]] : []),
  ];
  const manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
  const args = ["call", ...manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail"];
  const run = spawnSync("busctl", [...args, String(properties.length), ...properties.flat(), "0"], {
    encoding: "utf8",
  });
  if (run.status !== 0) return run.error?.message ?? run.stderr.trim();
  if (below.length > 0) moveBelow(await groupOf(name), below);
  return machine && registerMachine(machine);
}

/** How long systemd may take to make a scope, in milliseconds. */
const LONGEST_WAIT_MS = 10_000;
const PAUSE_MS = 50;

/** The control group of a scope that is being made; empty when that takes too long. */
async function groupOf(name: string): Promise<string> {
  for (const end = Date.now() + LONGEST_WAIT_MS; Date.now() < end; await delay(PAUSE_MS)) {
    const [scope] = readUnits([name]);
    if (scope?.activeState === "active") return scope.controlGroup;
  }
  return "";
}

/** Puts processes into their groups below that of the scope. */
function moveBelow(controlGroup: string, processes: MemberUnit["processes"]): void {
  const top = controlGroup === "" ? undefined : folderOfGroup(controlGroup);
  if (top === undefined) return;
  for (const { pid, group } of processes) {
    const file = join(top, group, "cgroup.procs");
    mkdirSync(dirname(file), { recursive: true });
    // What has ended meanwhile is in no group.
    orIfGone(() => writeFileSync(file, String(pid)), undefined);
  }
}
