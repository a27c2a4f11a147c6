/** Gives processes of a session a scope again (systemd.scope(5)), by StartTransientUnit of org.freedesktop.systemd1(5). */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { MemberUnit } from "./hand-over.ts";

/** A scope of the same name in the same slice; what has ended meanwhile is left out. Returns why it did not work, if so. */
export function giveScope({ name, description, slice, processes }: MemberUnit): string | undefined {
  const pids = processes.map(({ pid }) => pid).filter((pid) => existsSync(`/proc/${pid}`));
  if (pids.length === 0) return undefined;
  const properties = [
    ["Description", "s", description],
    ["Slice", "s", slice],
    ["PIDs", "au", String(pids.length), ...pids.map(String)],
    // As logind has it for sessions: their end is the end of their processes, not a signal of systemd's.
    ["SendSIGHUP", "b", "true"],
    ["CollectMode", "s", "inactive-or-failed"],
  ];
  const manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
  const args = ["call", ...manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail"];
  const run = spawnSync("busctl", [...args, String(properties.length), ...properties.flat(), "0"], {
    encoding: "utf8",
  });
  if (run.status === 0) return undefined;
  return run.error?.message ?? run.stderr.trim();
}
