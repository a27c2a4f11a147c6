/** `--close-external`: connections to processes outside of the set come back closed, and the freeze says which. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { check, freeze, KmonteError, RefusalList, thaw } from "../src/index.ts";
import { Program, until } from "./harness.ts";

const SCRIPT = new URL("fixtures/outside-peers.py", import.meta.url).pathname;

test("connections to a process outside come back closed", async () => {
  await using program = Program.start("/usr/bin/python3", [SCRIPT]);
  await program.waitFor(/^READY$/m);
  const directory = `${program.directory}/image`;
  await assert.rejects(freeze({ pids: [program.pid], directory, end: "kill" }), (error) => {
    assert.ok(error instanceof KmonteError);
    const refusals = error instanceof RefusalList ? error.refusals : [error];
    for (const refusal of refusals) {
      assert.equal(refusal.code, "EXTERNAL_SOCKET");
      assert.match(refusal.why ?? "", /process \d+ \(python3?, descriptor \d+\)/);
      assert.match(refusal.remedy ?? "", /--close-external/);
    }
    return refusals.length === 2;
  });
  const looked = await check([program.pid], { closeExternal: true });
  assert.deepEqual(looked.refusals, []);
  const set = await freeze({ pids: [program.pid], directory, end: "kill", closeExternal: true });
  assert.equal(set.notes.length, 3, set.notes.join("\n"));
  assert.equal(looked.notes.length, 3);
  for (const note of set.notes) assert.match(note, /comes back closed: process \d+ \(python3?\) outside/);
  const heard = `${program.directory}/heard`;
  await until(() => existsSync(heard) && readFileSync(heard, "utf8").split(" ").length === 3, "the outside to notice");
  await until(() => !existsSync(`/proc/${program.pid}`), "the id to be free again");
  await thaw({ directory });
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m, program.output);
});
