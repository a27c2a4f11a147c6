/** A few of the random programs of test/stress, through a few freezes and thaws each. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { stress } from "./stress/run.ts";

const CYCLES = 5;

describe("random programs see no difference", () => {
  for (const seed of [1, 2, 3, 4]) {
    test(`seed ${seed}`, async () => {
      assert.deepEqual(await stress(seed, CYCLES), { cycles: CYCLES, failures: [] });
    });
  }
});
