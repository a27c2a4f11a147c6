/** Whether systemd brings the processes back at boot, and knows all that it is asked for then. */
import { spawnSync } from "node:child_process";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { requireSystemdAtBoot } from "../unit.ts";
import { refusalsOf } from "./finding.ts";

/** That of Debian 11, the oldest that swaps were tried with. */
const OLDEST = 247;

export function lookAtSystemd(): Refusal[] {
  const refusals = refusalsOf(requireSystemdAtBoot);
  if (refusals.length > 0) return refusals;
  const { stdout } = spawnSync("systemctl", ["--version"], { encoding: "utf8" });
  const version = Number(/^systemd (\d+)/.exec(stdout ?? "")?.[1] ?? OLDEST);
  if (version >= OLDEST) return [];
  return [failures.SYSTEMD_TOO_OLD({ version, oldest: OLDEST })];
}
