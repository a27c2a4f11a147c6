/** What stands in the way for a moment only is waited for. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { check, freeze, thaw, KmonteError } from "./kmonte-library.ts";
import { Program, until } from "./harness.ts";
import { assertRunning, assertUnharmed } from "./kmonte.ts";

const PROGRAM = join(import.meta.dirname, "fixtures/accepts-when-told.py");

describe("a connection that the server has not accepted yet", () => {
  test("is frozen when it is accepted a moment later", async () => {
    await using program = Program.start("/usr/bin/python3", [PROGRAM]);
    await program.waitFor(/^READY$/m);
    const directory = join(program.directory, "image");
    let looks = 0;
    await freeze({
      pids: [program.pid],
      directory,
      end: "kill",
      onProgress({ step }) {
        if (step !== "look") return;
        looks += 1;
        // It stands still, and hears of it when it goes on.
        if (looks === 1) process.kill(program.pid, "SIGUSR1");
      },
    });
    assert.ok(looks > 1, "the first look saw it");
    await until(() => !program.alive, "its end");
    await thaw({ directory });
    await assertUnharmed(program);
    rmSync(directory, { recursive: true });
  });

  test("is refused in the end", async () => {
    await using program = Program.start("/usr/bin/python3", [PROGRAM]);
    await program.waitFor(/^READY$/m);
    const directory = join(program.directory, "image");
    await assert.rejects(
      freeze({ pids: [program.pid], directory, end: "kill" }),
      (error) => error instanceof KmonteError && error.code === "TCP_PENDING_DATA",
    );
    assertRunning(program);
    const { refusals } = await check([program.pid]);
    assert.equal((refusals[0] as { code: string }).code, "TCP_PENDING_DATA");
    process.kill(program.pid, "SIGUSR1");
    await program.waitFor(/^ACCEPTED$/m);
    await assertUnharmed(program);
  });
});
