/** Hardware virtualisation where it really runs a kernel, emulation elsewhere. */
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { cacheDirectory, digest } from "./cache.ts";
import { atEnd } from "./lifetime.ts";

export type Accelerator = "kvm" | "tcg";

/** A kernel under working virtualisation needs about a second to find that it has no root file system. */
const PROBE_MS = 10_000;
const REACHED_THE_END = "Unable to mount root fs";

/** Says which accelerator to use. /dev/kvm may exist and yet not run a kernel, so one is started to see; once. */
export async function chooseAccelerator(vmlinuz: string): Promise<Accelerator> {
  const forced = process.env["KMONTE_LAB_ACCEL"];
  if (forced === "kvm" || forced === "tcg") return forced;
  if (!mayUseKvm()) return "tcg";
  const memory = join(cacheDirectory(), `accelerator-${digest([release()])}`);
  if (existsSync(memory)) return readFileSync(memory, "utf8").trim() === "kvm" ? "kvm" : "tcg";
  const found = (await kvmRunsKernel(vmlinuz)) ? "kvm" : "tcg";
  writeFileSync(memory, `${found}\n`);
  return found;
}

function mayUseKvm(): boolean {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function kvmRunsKernel(vmlinuz: string): Promise<boolean> {
  const args = ["-accel", "kvm", "-M", "pc", "-cpu", "host", "-m", "256", "-nographic", "-no-reboot", "-nic", "none"];
  const child = spawn("qemu-system-x86_64", [...args, "-kernel", vmlinuz, "-append", "console=ttyS0 panic=-1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  using _ending = atEnd(() => child.kill("SIGKILL"));
  return new Promise<boolean>((resolve) => {
    let console = "";
    const timer = setTimeout(() => resolve(false), PROBE_MS);
    const answer = (works: boolean) => {
      clearTimeout(timer);
      resolve(works);
    };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      console += text;
      if (console.includes(REACHED_THE_END)) answer(true);
    });
    child.once("error", () => answer(false));
    child.once("close", () => answer(console.includes(REACHED_THE_END)));
  });
}
