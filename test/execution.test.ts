/** A program whose threads start programs all the time is looked at again and again: no look waits without end, or errs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, KmonteError } from "./kmonte-library.ts";
import { compile, Program } from "./harness.ts";

const LONG_MS = 10_000;
/** What may be said of such a program: that it does so. */
const ITS_OWN = "THREADS_CHANGE";

test("execve(2) by a thread that is not the first, in the middle of a look", { timeout: 120_000 }, async () => {
  await using program = Program.start(compile("churn-exec.c"), []);
  await program.waitFor(/^READY$/m);
  let looks = 0;
  for (const end = Date.now() + LONG_MS; Date.now() < end; looks += 1) {
    try {
      const { refusals } = await check([program.target]);
      assert.deepEqual(refusals, [], `look ${looks}`);
    } catch (error) {
      if (!(error instanceof KmonteError) || error.code !== ITS_OWN) throw error;
    }
  }
  assert.ok(looks > 10, `${looks} looks`);
});
