/**
 * A hardware watchdog that somebody feeds now, and nobody between two kernels (Documentation/ABI/testing/
 * sysfs-class-watchdog). KExecWatchdogSec= of systemd-system.conf(5) is for systemctl kexec alone: a swap is none.
 */
import { spawnSync } from "node:child_process";
import { Warning } from "./finding.ts";
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
      new Warning("WATCHDOG_TOO_SHORT", {
        what: `A watchdog may restart the machine in the midst of the change of kernel.`,
        why: `${name} (${identity}) is fed${feeder(machine)}, restarts the machine after ${seconds} s without that${forGood}, and nobody feeds it between two kernels.`,
        remedy: `Give it ${GAP_SECONDS} s or more: RuntimeWatchdogSec= in /etc/systemd/system.conf and systemctl daemon-reexec, or the setting of the daemon that feeds it.`,
      }),
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
