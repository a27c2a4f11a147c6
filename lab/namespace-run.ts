/** Running programs in a machine made of namespaces. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { KmonteError } from "../src/errors/failure.ts";
import { childrenOf } from "../src/proc/read.ts";
import type { Answer } from "./channel.ts";

export interface RunOptions {
  /** The standard input; nothing by default. */
  readonly input?: string | Buffer;
  /** 120 s by default. */
  readonly timeoutMs?: number;
}

const RUN_MS = 120_000;

const ENVIRONMENT = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };

/** A command line that runs another one in the namespaces of a process, and in a control group (both the host's). */
function inside(init: number, group: string, argv: readonly string[]): [command: string, args: string[]] {
  const joinGroup = 'echo 0 >"$0/cgroup.procs" && exec "$@"';
  const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
  const enter = ["nsenter", "--target", String(init), ...namespaces, "--no-fork", "--"];
  // The shell stays outside of the pid namespace and waits. nsenter(1) itself would stop together with the program,
  // which systemd stops with all others at the end of a shutdown; nobody would then reap the program, and the pid
  // namespace could not end.
  const wait = ["sh", "-c", '"$0" "$@"; exit $?'];
  return ["sh", ["-c", joinGroup, group, ...enter, ...wait, ...argv]];
}

/** Runs a program to its end; what it started and left behind must have closed its output too. */
export async function runInside(
  init: number,
  group: string,
  argv: readonly string[],
  options: RunOptions,
): Promise<Answer> {
  const [command, args] = inside(init, group, argv);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: ENVIRONMENT });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.stdin.on("error", () => {});
  child.stdin.end(options.input);
  const timeoutMs = options.timeoutMs ?? RUN_MS;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    endProgram(child);
    child.stdout.destroy();
    child.stderr.destroy();
  }, timeoutMs);
  const code = await statusOf(child).finally(() => clearTimeout(timer));
  if (!late) return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), pid: undefined };
  throw new KmonteError("LAB_COMMAND_LATE", {
    what: `In the machine, ${argv.join(" ")} did not end, or its output was not closed, within ${timeoutMs / 1000} s.`,
    why: Buffer.concat([...stderr, ...stdout])
      .toString()
      .trim(),
    remedy: "It was ended with SIGKILL; pass a longer timeout if it needs one, and redirect what it leaves running.",
  });
}

/** Runs a program with the standard input, output and error of this one; gives its exit status. */
export function attachInside(init: number, group: string, argv: readonly string[]): Promise<number> {
  const [command, args] = inside(init, group, argv);
  const env = { ...ENVIRONMENT, TERM: process.env["TERM"] ?? "dumb" };
  return statusOf(spawn(command, args, { stdio: "inherit", env }));
}

/** The child waits for the program, its own only child, and ends with it. */
function endProgram(child: ChildProcess): void {
  for (const pid of childrenOf(child.pid ?? 0)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself in the meantime.
    }
  }
}

/** The exit status of a program, as a shell gives it: 128 and the number of the signal that ended it. */
function statusOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => resolve(status ?? 128 + constants.signals[signal ?? "SIGKILL"]));
  });
}
