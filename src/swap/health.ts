/** The user's own word on whether all is well on the new kernel: a command that succeeds. */
import { spawn } from "node:child_process";
import { failures } from "../errors/catalogue.ts";
import { describe } from "./describe-failure.ts";
import type { Failure } from "./store.ts";

export const DEFAULT_HEALTH_SECONDS = 60;

export interface HealthCommand {
  readonly command: string;
  readonly seconds: number;
}

/** As much of what it said as a report needs. */
const SAID = 2000;

/** Runs the command with sh; undefined when it says that all is well. */
export async function askHealth({ command, seconds }: HealthCommand): Promise<Failure | undefined> {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"], cwd: "/", detached: true });
  let said = "";
  const listen = (text: string): void => {
    said = (said + text).slice(-SAID);
  };
  child.stdout.setEncoding("utf8").on("data", listen);
  child.stderr.setEncoding("utf8").on("data", listen);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }, seconds * 1000);
  const end = await new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `status ${code}`));
  });
  clearTimeout(timer);
  if (end === "status 0") return undefined;
  const how = late ? `It gave no answer within ${seconds} s.` : `It ended with ${end}.`;
  return describe(failures.HEALTH_FAILED({ command, why: [how, said.trim()].filter(Boolean).join("\n") }));
}
