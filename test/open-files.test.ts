/** More open files than kmonte may have are refused by name; what processes share counts once. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { until } from "./harness.ts";
import { KMONTE, launch, parseError, type Outcome } from "./kmonte.ts";

const LIMIT = 200;

/** Freezes a program that has `files` open and `children` that share them, by a kmonte that may have LIMIT. */
async function freeze(files: number, children: number): Promise<Outcome> {
  const directory = mkdtempSync(join(tmpdir(), "kmonte-test-"));
  const script = [
    "import os, signal, sys",
    `held = [os.open('/', os.O_RDONLY) for _ in range(${files})]`,
    `if all(os.fork() for _ in range(${children})): os.close(os.open('up', os.O_CREAT))`,
    "signal.pause()",
  ].join("\n");
  const program = spawn("python3", ["-c", script], { stdio: "ignore", detached: true, cwd: directory });
  try {
    await until(() => existsSync(join(directory, "up")), "the program");
    const freezing = [
      KMONTE,
      "freeze",
      String(program.pid),
      "-o",
      join(directory, "image"),
      "--leave-running",
      "--json",
    ];
    return await launch("prlimit", [`--nofile=${LIMIT}:${LIMIT}`, ...freezing]).done;
  } finally {
    process.kill(-(program.pid as number), "SIGKILL");
    rmSync(directory, { recursive: true });
  }
}

describe("open files", () => {
  test("more than kmonte may have are refused by name", async () => {
    const outcome = await freeze(LIMIT + 50, 0);
    assert.equal(outcome.status, 3, outcome.stdout + outcome.stderr);
    assert.equal(parseError(outcome).code, "OPEN_FILES_LIMIT");
  });

  test("that processes share count once", async () => {
    const outcome = await freeze(LIMIT / 4, 8);
    assert.equal(outcome.status, 0, outcome.stdout + outcome.stderr);
  });
});
