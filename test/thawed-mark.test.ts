/** At most one of each process: an image that was thawed says so, and is not thawed a second time unasked. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { thaw } from "../src/index.ts";
import { Program, until } from "./harness.ts";
import { kmonte } from "./kmonte.ts";

const mark = (image: string) => join(image, "thawed.json");

async function end(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(() => !existsSync(`/proc/${pid}`), `the end of ${pid}`);
}

test("an image is thawed once, and again when asked for", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  assert.equal(existsSync(mark(image)), false);
  await thaw({ directory: image });
  assert.equal(JSON.parse(readFileSync(mark(image), "utf8")).step, "released");
  await end(program.pid);
  await assert.rejects(thaw({ directory: image }), { code: "ALREADY_THAWED" });
  assert.equal(existsSync(`/proc/${program.pid}`), false);
  await thaw({ directory: image, again: true });
  assert.equal(program.alive, true);
});

test("an image whose release was cut short is thawed", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  await thaw({ directory: image });
  await end(program.pid);
  const said = JSON.parse(readFileSync(mark(image), "utf8")) as object;
  writeFileSync(mark(image), JSON.stringify({ ...said, step: "releasing" }));
  await thaw({ directory: image });
  assert.equal(program.alive, true);
});

test("a mark that nobody wrote whole is refused", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  writeFileSync(mark(image), "{");
  await assert.rejects(thaw({ directory: image }), { code: "THAWED_MARK_BROKEN" });
});

test("a copy of processes that go on is kept out by their ids, and thaws when they have ended", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = join(program.directory, "image");
  const frozen = await kmonte("freeze", String(program.pid), "-o", image, "--leave-running");
  assert.equal(frozen.status, 0, frozen.stderr);
  await assert.rejects(thaw({ directory: image }), { code: "PID_TAKEN" });
  assert.equal(existsSync(mark(image)), false, "a refused thaw leaves no mark");
  await end(program.pid);
  await thaw({ directory: image });
  assert.equal(program.alive, true);
});
