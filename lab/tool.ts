/** Runs the programs that the lab leans on (mmdebstrap, mke2fs, apt-get …) and says clearly when one fails. */
import { spawn } from "node:child_process";
import { KmonteError } from "../src/errors/failure.ts";
import { atEnd } from "./lifetime.ts";

export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end and gives its standard output; a failure carries the last lines that it wrote. */
export async function runTool(command: string, args: readonly string[], options: ToolOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  // The tool leads a process group of its own, so that ending it ends its children too.
  using _ending = atEnd(() => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) killGroup(child.pid);
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const status = await new Promise<number | string>((resolve) => {
    child.once("error", (error) => {
      stderr += error.message;
      resolve("not started");
    });
    child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  if (status === 0) return stdout;
  throw new KmonteError(
    "LAB_TOOL_FAILED",
    {
      what: `${command} ${args.slice(0, 4).join(" ")} … failed (${status}).`,
      why: (stderr || stdout).trim().split("\n").slice(-8).join("\n"),
      remedy: "The message above is the tool’s own; the lab left nothing half-built, so running it again is safe.",
    },
    { facts: { command } },
  );
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // It ended by itself in the meantime.
  }
}
