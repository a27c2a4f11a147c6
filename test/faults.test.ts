/**
 * A sample of the fault sweep (test/faults): one step of a freeze or thaw goes wrong, or kmonte or a process dies at
 * it, and afterwards the program runs unharmed or its image thaws. `node --import ./test/faults/inject.ts
 * test/faults/run.ts PROGRAM` runs all of it; the seed here stays the same so that a failure can be looked at.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { launch } from "./kmonte.ts";

const FOLDER = join(import.meta.dirname, "faults");
const SEED = "20021";

async function sweep(...args: string[]): Promise<string> {
  const flags = ["--disable-warning=ExperimentalWarning", "--import", join(FOLDER, "inject.ts")];
  const command = [...flags, join(FOLDER, "run.ts"), "--seed", SEED, ...args];
  // Faults are met in the sources alone.
  const { KMONTE_TREE: _, ...env } = process.env;
  const { status, stdout, stderr } = await launch(process.execPath, command, { env, timeout: 600_000 }).done;
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

/** The faults that were met, of a report's last line. */
function met(report: string): number {
  return Number(/(\d+) faults met/.exec(report)?.[1]);
}

describe("one step that goes wrong loses no process and doubles none", () => {
  test("a call that fails, in a freeze and in a thaw", async (t) => {
    const report = await sweep("../fixtures/witness.c", "--kinds", "fail", "--sample", "12");
    t.diagnostic(report);
    assert.ok(met(report) >= 18, report);
  });

  test("kill -9 at a step", async (t) => {
    const report = await sweep("../fixtures/witness.c", "--kinds", "kill", "--sample", "5");
    t.diagnostic(report);
    assert.ok(met(report) >= 7, report);
  });

  test("a family: failures, kills, and a death in it", async (t) => {
    const report = await sweep("family.c", "--sample", "6");
    t.diagnostic(report);
    assert.ok(met(report) >= 9, report);
  });
});
