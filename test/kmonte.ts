/** Running the command line as a person would, and programs that say afterwards whether they noticed. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compile, Program } from "./harness.ts";

/** That of $KMONTE_TREE (see run.ts), or of the checkout. */
export const KMONTE = join(process.env["KMONTE_TREE"] ?? join(import.meta.dirname, ".."), "bin/kmonte");
/** That of the checkout: faults (faults/inject.ts) are met in the sources alone. */
export const KMONTE_OF_SOURCES = join(import.meta.dirname, "../bin/kmonte");

export interface Outcome {
  /** Exit status, or the signal that ended it. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a command; `done` tells how it ended. */
export function launch(
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): { child: ChildProcess; done: Promise<Outcome> } {
  const child = spawn(command, args, {
    ...options,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: options.timeout ?? 60_000,
  });
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const done = new Promise<Outcome>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ status: code ?? signal ?? "?", stdout, stderr }));
  });
  return { child, done };
}

export function kmonte(...args: string[]): Promise<Outcome> {
  return launch(KMONTE, args).done;
}

/** What `--json` printed. */
export function parseError(outcome: Outcome): { code: string; refusals?: { code: string }[] } {
  const { error } = JSON.parse(outcome.stdout) as { error?: { code: string; refusals?: { code: string }[] } };
  assert.ok(error, outcome.stdout);
  return error;
}

/** Runs kmonte twice, for people and for scripts: both must fail with this code, this status, and a remedy or a reason. */
export async function fails(code: string, status: number, ...args: string[]): Promise<void> {
  const person = await kmonte(...args);
  assert.equal(person.status, status, person.stdout + person.stderr);
  assert.match(person.stderr, new RegExp(`^kmonte: .*\\[${code}\\]\\n  \\S`, "m"));
  assert.doesNotMatch(person.stderr, /^ +at /m, "no stack for a user's mistake");
  assert.equal(person.stdout, "");
  const script = await kmonte(...args, "--json");
  assert.equal(script.status, status);
  assert.equal(parseError(script).code, code);
}

/** Starts a program that watches itself; see fixtures/witness.c. */
export async function startWitness(mebibytes: number): Promise<Program> {
  const program = Program.start(compile("../fixtures/witness.c"), [String(mebibytes)]);
  await program.waitFor(/^READY$/m);
  return program;
}

/** Runs on, is not stopped, and nobody traces it. */
export function assertRunning({ pid }: { pid: number }): void {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, /^State:\s+[RSD]/m);
  assert.match(status, /^TracerPid:\s+0$/m);
}

/** Asks the program itself whether it noticed anything. */
export async function assertUnharmed(program: Program): Promise<void> {
  assertRunning(program);
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m, program.output);
}
