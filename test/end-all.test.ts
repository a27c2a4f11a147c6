/** The tiny program that ends a set ends that set and nobody else, and be the set empty. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Program } from "./harness.ts";
import { launch } from "./kmonte.ts";

const END_ALL = new URL("../src/tracee/end-all.x86_64.ts", import.meta.url).href;

/** In a process group of its own: kill(0) would reach all of it. */
function ending(pids: readonly number[]) {
  const script = `const { endAll } = await import(${JSON.stringify(END_ALL)});
    endAll(${JSON.stringify(pids)}); console.log("still here");`;
  return launch("setsid", ["--wait", process.execPath, "--disable-warning=ExperimentalWarning", "-e", script]).done;
}

test("when all of a set have ended by themselves, nobody is ended in their place", async () => {
  const { status, stdout, stderr } = await ending([]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /still here/);
});

test("those that are named are ended", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const { status, stdout, stderr } = await ending([program.pid]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /still here/);
  assert.equal(program.alive, false);
});
