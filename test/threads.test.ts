/** Looks and freezes of one process share a thread, which is in nobody's way at that process's end. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { check, freeze } from "../src/freeze/freeze.ts";
import { checkEach } from "../src/freeze/check/machine.ts";
import { Program } from "./harness.ts";

const SLEEPER = 'import time\nprint("READY", flush=True)\ntime.sleep(1000)\n';
const noRoot = process.getuid?.() === 0 ? false : "needs root";

test("a thread that has looked looks again, and freezes", { skip: noRoot }, async () => {
  await using program = Program.start("/usr/bin/python3", ["-c", SLEEPER]);
  await program.waitFor(/^READY$/m);
  const threads = (): number => readdirSync("/proc/self/task").length;
  assert.deepEqual((await check([program.pid])).refusals, []);
  const once = threads();
  for await (const { refusals } of checkEach([[program.pid], [program.pid]])) assert.deepEqual(refusals, []);
  assert.equal(threads(), once);
  const set = await freeze({ pids: [program.pid], directory: join(program.directory, "image"), end: "hold" });
  assert.equal(threads(), once);
  assert.ok(set.needs.some(({ option }) => option === "CONFIG_CHECKPOINT_RESTORE"));
  await set.release();
  // That one has ended; the next one is another.
  assert.deepEqual((await check([program.pid])).refusals, []);
  await assert.rejects(check([4_000_000]), { code: "NO_SUCH_PROCESS" });
  assert.deepEqual((await check([program.pid])).refusals, []);
});

test("a process that has looked ends by itself", { skip: noRoot }, async () => {
  await using program = Program.start("/usr/bin/python3", ["-c", SLEEPER]);
  await program.waitFor(/^READY$/m);
  const script = `import { check } from ${JSON.stringify(join(import.meta.dirname, "../src/freeze/freeze.ts"))};
    const { processes } = await check([${program.pid}]);
    console.log(processes.length);`;
  const file = join(program.directory, "look.mjs");
  writeFileSync(file, script);
  const args = ["--disable-warning=ExperimentalWarning", file];
  assert.equal(execFileSync(process.execPath, args, { encoding: "utf8", timeout: 120_000 }), "1\n");
});
