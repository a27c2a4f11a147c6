/** A few of the random programs of test/stress, through a few freezes and thaws each. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import "./own-terminals.ts";
import { LastingEngines } from "./stress/engines.ts";
import { stress } from "./stress/run.ts";

const CYCLES = 5;

describe("random programs see no difference", () => {
  const engines = new LastingEngines();
  after(() => engines[Symbol.asyncDispose]());

  for (const seed of [1, 2, 3, 4]) {
    test(`seed ${seed}`, async () => {
      assert.deepEqual(await stress(seed, CYCLES, engines), { cycles: CYCLES, failures: [] });
    });
  }
});
