/** Objects of System V that the machine has lost meanwhile, as by a reboot, are made again; others are left alone. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { KmonteError, thaw } from "./kmonte-library.ts";
import { compile, Program } from "./harness.ts";

async function frozen(): Promise<{ program: Program; directory: string; ids: string[] } & AsyncDisposable> {
  const program = Program.start(compile("sysv-used.c"));
  await program.waitFor(/^READY$/m);
  const ids = /^-s .*$/m.exec(program.output)?.[0].split(" ") ?? [];
  const directory = await program.freeze();
  execFileSync("ipcrm", ids);
  return { program, directory, ids, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
}

test("what has gone is made again", { timeout: 60_000 }, async () => {
  await using set = await frozen();
  await thaw({ directory: set.directory });
  process.kill(set.program.pid, "SIGTERM");
  await set.program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(set.program.output, /^PASS$/m, set.program.output);
});

test("another object's id is not taken", { timeout: 60_000 }, async () => {
  await using set = await frozen();
  const key = `0x${(0x4c000000 ^ set.program.pid).toString(16)}`;
  const made = execFileSync("ipcmk", ["-Q", "-p", "0600"], { encoding: "utf8" });
  const other = /\d+/.exec(made)?.[0] ?? "";
  const script = `import ctypes; print(ctypes.CDLL(None).semget(${key}, 1, 0o1600))`;
  const semaphores = execFileSync("python3", ["-c", script], { encoding: "utf8" }).trim();
  try {
    await assert.rejects(
      thaw({ directory: set.directory }),
      (error: unknown) => error instanceof KmonteError && error.code === "SYSV_ID_TAKEN",
    );
  } finally {
    execFileSync("ipcrm", ["-q", other, "-s", semaphores]);
  }
});
