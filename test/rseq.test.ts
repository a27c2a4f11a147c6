/** Where the C library's restartable sequences are registered: found without the kernel's help, as before 5.13. */
import { livingThread } from "../src/sys/task.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { StoppedSet } from "../src/freeze/stop/stopped-set.ts";
import { parseMaps } from "../src/proc/maps.ts";
import { findGadget } from "../src/tracee/syscall-gadget.x86_64.ts";
import { GuardedScope } from "../src/tracee/guarded-scope.x86_64.ts";
import { TraceeMemory } from "../src/tracee/memory.ts";
import { askRseq, kernelTellsRseq, probeRseq } from "../src/tracee/rseq.x86_64.ts";
import { compile, Program } from "./harness.ts";

test("probing finds the registration that the kernel tells of", async (context) => {
  await using program = Program.start(compile("threads.c"));
  await program.waitFor(/^READY$/m);
  using set = StoppedSet.stop([program.pid]);
  if (!kernelTellsRseq(program.pid)) return context.skip("this kernel does not tell");
  using memory = new TraceeMemory(livingThread(program.pid));
  const gadget = findGadget(program.pid, memory, parseMaps(readFileSync(`/proc/${program.pid}/smaps`, "utf8")));
  for (const { tid } of set.processes.get(program.pid)?.threads ?? []) {
    using scope = new GuardedScope(program.pid, tid, gadget);
    const told = askRseq(tid);
    assert.ok(told);
    assert.deepEqual(probeRseq(scope), told);
  }
});
