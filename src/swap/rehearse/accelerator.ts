/** Whether hardware virtualisation runs a kernel here: /dev/kvm may be there and yet not do so, hence one is started. */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";

/** A kernel under working virtualisation needs about a second to find that it has no root file system. */
const PROBE_MS = 10_000;
const REACHED_THE_END = "Unable to mount root fs";

export async function kvmRuns(image: string): Promise<boolean> {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return false;
  }
  const args = ["-accel", "kvm", "-M", "pc", "-cpu", "host", "-m", "256", "-nographic", "-no-reboot", "-nic", "none"];
  const command = ["--pdeathsig", "KILL", "qemu-system-x86_64"];
  const child = spawn("setpriv", [...command, ...args, "-kernel", image, "-append", "console=ttyS0 panic=-1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  return new Promise<boolean>((resolve) => {
    let console = "";
    const answer = (works: boolean): void => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      resolve(works);
    };
    const timer = setTimeout(() => answer(false), PROBE_MS);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      console += text;
      if (console.includes(REACHED_THE_END)) answer(true);
    });
    child.once("error", () => answer(false));
    child.once("close", () => answer(console.includes(REACHED_THE_END)));
  });
}
