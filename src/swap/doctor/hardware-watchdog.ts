/**
 * A hardware watchdog that somebody feeds now, and nobody between two kernels (Documentation/ABI/testing/
 * sysfs-class-watchdog). KExecWatchdogSec= of systemd-system.conf(5) is for systemctl kexec alone: a swap is none.
 */
import type { Warning } from "../../errors/failure.ts";
import { failures } from "../../errors/catalogue.ts";
import { spawnSync } from "node:child_process";
import type { Machine } from "./machine.ts";

const FOLDER = "/sys/class/watchdog";

/** From the last word of one kernel to the initramfs of the next, which arms a watchdog anew: with room for slow hardware. */
const GAP_SECONDS = 60;

/** softdog: it ends with its kernel. */
const SOFTWARE = "Software Watchdog";

export function lookAtWatchdog(machine: Machine): Warning[] {
  return machine.names(FOLDER).flatMap((name) => {
    const read = (what: string): string => machine.text(`${FOLDER}/${name}/${what}`);
    const [identity, seconds] = [read("identity"), Number(read("timeout"))];
    if (read("state") !== "active" || identity === SOFTWARE || seconds === 0 || seconds >= GAP_SECONDS) return [];
    const forGood = read("nowayout") === "1" ? ", and cannot be stopped (nowayout)" : "";
    return [
      failures.WATCHDOG_TOO_SHORT({ name, identity, feeder: feeder(machine), seconds, forGood, needed: GAP_SECONDS }),
    ];
  });
}

/** Who feeds it, where that is systemd. */
function feeder(machine: Machine): string {
  if (machine.root !== "/") return "";
  const { stdout } = spawnSync("systemctl", ["show", "--value", "-p", "RuntimeWatchdogUSec"], { encoding: "utf8" });
  const setting = stdout?.trim() ?? "";
  return ["", "0", "infinity"].includes(setting) ? "" : ` by systemd (RuntimeWatchdogSec=${setting})`;
}
