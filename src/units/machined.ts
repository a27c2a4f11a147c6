/** What systemd-machined(8) knows of a container, so that machinectl(1) shows it again after a boot. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { orIfGone } from "../lib/no-such-file.ts";

/** Its files: one for each machine, and a link to it by the name of its unit. */
const MACHINES = "/run/systemd/machines";

export interface Machine {
  readonly name: string;
  /** 32 hexadecimal digits. */
  readonly id: string;
  readonly service: string;
  readonly class: string;
  /** The init of the container. */
  readonly leader: number;
  readonly root: string;
}

/** The machine that lives in a scope, if it is one's. */
export function machineOf(scope: string): Machine | undefined {
  const text = orIfGone(() => readFileSync(join(MACHINES, `unit:${scope}`), "utf8"), undefined);
  if (text === undefined) return undefined;
  const value = (key: string): string => new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1] ?? "";
  const [name, service, kind, root] = ["NAME", "SERVICE", "CLASS", "ROOT"].map(value) as [
    string,
    string,
    string,
    string,
  ];
  return { name, id: value("ID"), service, class: kind, leader: Number(value("LEADER")), root };
}

/** Registers it anew (org.freedesktop.machine1(5)); returns why it did not work, if so. */
export function registerMachine({ name, id, service, class: kind, leader, root }: Machine): string | undefined {
  const bytes = id.match(/../g)?.map((byte) => String(Number.parseInt(byte, 16))) ?? [];
  const manager = ["org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager"];
  const args = [name, String(bytes.length), ...bytes, service, kind, String(leader), root];
  const run = spawnSync("busctl", ["call", ...manager, "RegisterMachine", "sayssus", ...args], { encoding: "utf8" });
  return run.status === 0 ? undefined : (run.error?.message ?? run.stderr.trim());
}
