/** Letting go of a task that has been killed while it was held: its parent hears of it, though the tracer lives on. */
import { test } from "node:test";
import { detach, trySeize } from "../src/tracee/ptrace.ts";
import { childrenOf } from "../src/proc/read.ts";
import { Program } from "./harness.ts";

test("the parent of a tracee that was killed is told when the tracer lets go", async () => {
  await using program = Program.start("/bin/sh", ["-c", "sleep 1000 & echo READY; wait $!; echo ENDED $?; sleep 1000"]);
  await program.waitFor(/^READY$/m);
  const [child = 0] = childrenOf(program.pid);
  if (trySeize(child, 0) !== 0) throw new Error("could not be seized");
  process.kill(child, "SIGKILL");
  detach(child);
  await program.waitFor(/^ENDED 137$/m);
});
