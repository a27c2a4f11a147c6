/** ^C and kill -9 in the middle: the processes go on, or none is left, and nothing half-made stays. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "./harness.ts";
import { assertRunning, assertUnharmed, kmonte, KMONTE, launch, parseError, startWitness } from "./kmonte.ts";

/** So much that writing it takes a good part of a second. */
const MEBIBYTES = 300;

/** How often kmonte is killed; the moments are spread over the whole length of a freeze. */
const KILLS = 30;

/** Waits until a freeze says that it has come to a step. */
async function untilStep(child: ChildProcess, step: string): Promise<void> {
  let said = "";
  child.stderr?.on("data", (text: string) => (said += text));
  await until(() => said.includes(`${step}: `) || child.exitCode !== null, `the step ${step}`);
}

describe("a freeze that is interrupted", () => {
  for (const [signal, step, doing] of [
    ["SIGINT", "copy", "while the program runs and is copied ahead"],
    ["SIGINT", "look", "while the program stands still"],
    ["SIGTERM", "look", "while the program stands still"],
    ["SIGHUP", "look", "while the program stands still"],
  ] as const) {
    test(`by ${signal} ${doing} takes everything back`, async () => {
      await using program = await startWitness(MEBIBYTES);
      const image = join(program.directory, "image");
      const { child, done } = launch(KMONTE, ["freeze", String(program.pid), "-o", image]);
      await untilStep(child, step);
      child.kill(signal);
      const outcome = await done;
      assert.equal(outcome.status, 130, outcome.stdout + outcome.stderr);
      assert.match(outcome.stderr, /\[INTERRUPTED\]/);
      assert.deepEqual(readdirSync(program.directory), ["output"]);
      await assertUnharmed(program);
    });
  }

  test("whose reader of progress has gone is not stopped by that", async () => {
    await using program = await startWitness(1);
    const image = join(program.directory, "image");
    const script = `"${KMONTE}" freeze ${program.pid} -o "${image}" --leave-running 2>&1 >/dev/null | true; echo "\${PIPESTATUS[0]}"`;
    assert.equal((await launch("bash", ["-c", script]).done).stdout, "0\n");
    assert.ok(existsSync(join(image, "manifest.json")));
    await assertUnharmed(program);
  });

  test(`by kill -9, ${KILLS} times at any moment, leaves the program unharmed`, { timeout: 300_000 }, async (t) => {
    await using program = await startWitness(8);
    const image = join(program.directory, "image");
    const freezing = ["freeze", String(program.pid), "-o", image, "--leave-running"];
    // Progress begins with the first thread that is stopped: from there on is what matters.
    const span = await timeFromFirstStop(freezing);
    let midway = 0;
    for (let i = 0; i < KILLS; i += 1) {
      rmSync(image, { recursive: true, force: true });
      const { child, done } = launch(KMONTE, freezing);
      await once(child.stderr as Readable, "data");
      await delay((span * (i + Math.random())) / KILLS);
      child.kill("SIGKILL");
      const outcome = await done;
      if (outcome.status === "SIGKILL" && !existsSync(image)) midway += 1;
      await until(() => !program.alive || !traced(program.pid), "the kernel to let the program go");
      assertRunning(program);
    }
    t.diagnostic(`${midway} of ${KILLS} hit the middle of a freeze`);
    assert.ok(midway >= KILLS / 5, `only ${midway} hit the middle of a freeze`);
    await assertUnharmed(program);
  });
});

async function timeFromFirstStop(freezing: readonly string[]): Promise<number> {
  const { child, done } = launch(KMONTE, freezing);
  await once(child.stderr as Readable, "data");
  const start = performance.now();
  assert.equal((await done).status, 0);
  return performance.now() - start;
}

function traced(pid: number): boolean {
  try {
    assertRunning({ pid });
    return false;
  } catch {
    return true;
  }
}

describe("a thaw that is interrupted", () => {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGKILL", "SIGKILL"],
  ] as const) {
    test(`by ${signal} leaves no process, and the image whole`, async () => {
      await using program = await startWitness(MEBIBYTES);
      const image = await program.freeze();
      const { child, done } = launch(KMONTE, ["thaw", image, "--json"]);
      await until(() => existsSync(`/proc/${program.pid}`) || child.exitCode !== null, "the process to be made");
      child.kill(signal);
      const outcome = await done;
      assert.equal(outcome.status, status, outcome.stdout + outcome.stderr);
      if (status === 130) assert.equal(parseError(outcome).code, "INTERRUPTED");
      await until(() => !existsSync(`/proc/${program.pid}`), "the half-made process to go");
      assert.equal((await kmonte("thaw", image)).status, 0);
      await assertUnharmed(program);
    });
  }
});
