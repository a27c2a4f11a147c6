/** Who watches over the last moment of a thaw: whenever kmonte is killed, all of the set live or none, as is written down. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Program, until } from "./harness.ts";
import { assertRunning, launch } from "./kmonte.ts";

const source = (name: string) => JSON.stringify(new URL(`../src/${name}`, import.meta.url).href);
const folder = mkdtempSync(join(tmpdir(), "kmonte-let-go-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Holds the processes as a thaw does at its end, with a guardian, and does `last`. */
async function holding(pids: readonly number[], name: string, last: string): Promise<number | string> {
  const script = `
    const { openSync } = await import("node:fs");
    const { Guardian } = await import(${source("tracee/let-go.x86_64.ts")});
    const { trySeize, interrupt } = await import(${source("tracee/ptrace.ts")});
    const { waitForStop } = await import(${source("tracee/stops.ts")});
    const { BUILD_OPTIONS } = await import(${source("tracee/blank.x86_64.ts")});
    const pids = ${JSON.stringify(pids)};
    for (const pid of pids) { trySeize(pid, BUILD_OPTIONS); interrupt(pid); waitForStop(pid); }
    const lock = openSync(${JSON.stringify(join(folder, name))}, "w");
    const entry = { folder: openSync(${JSON.stringify(folder)}, "r"), lock, before: ${JSON.stringify(name)}, after: ${JSON.stringify(`${name}-lived`)} };
    const { setOptions } = await import(${source("tracee/ptrace.ts")});
    const guardian = new Guardian(pids, entry);
    ${last}
    process.kill(process.pid, "SIGKILL");`;
  const flags = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
  return (await launch(process.execPath, flags).done).status;
}

async function sleepers(count: number): Promise<AsyncDisposable & { pids: number[]; programs: Program[] }> {
  const programs = Array.from({ length: count }, () => Program.start("/bin/sleep", ["1000"]));
  const dispose = async (): Promise<void> => {
    for (const program of programs) await program[Symbol.asyncDispose]();
  };
  return { programs, pids: programs.map(({ pid }) => pid), [Symbol.asyncDispose]: dispose };
}

describe("kmonte is killed", () => {
  for (const given of [0, 1, 2]) {
    test(`when ${given} of 3 processes would outlive it already: all end`, async () => {
      await using set = await sleepers(3);
      const name = `before-${given}`;
      // 1: PTRACE_O_TRACESYSGOOD, without PTRACE_O_EXITKILL.
      assert.equal(
        await holding(set.pids, name, `pids.slice(0, ${given}).forEach((pid) => setOptions(pid, 1));`),
        "SIGKILL",
      );
      await until(() => set.programs.every(({ alive }) => !alive), "the end of all");
      await until(() => !readdirSync(folder).includes(name), "the entry to go");
      assert.deepEqual(readdirSync(folder), []);
    });
  }

  test("right after they have been let go: all live, and it is written down", async () => {
    await using set = await sleepers(3);
    assert.equal(await holding(set.pids, "after", "guardian.release(pids);"), "SIGKILL");
    assert.deepEqual(readdirSync(folder), ["after-lived"]);
    rmSync(join(folder, "after-lived"));
    for (const program of set.programs) assertRunning(program);
  });
});

test("a thaw that goes no further sends the guardian away, and whoever lives goes on", async () => {
  await using set = await sleepers(2);
  const last = `guardian[Symbol.dispose](); pids.forEach((pid) => setOptions(pid, 1));`;
  assert.equal(await holding(set.pids, "given-up", last), "SIGKILL");
  for (const program of set.programs) assertRunning(program);
  rmSync(join(folder, "given-up"));
});

test("when it cannot be written down that they live, none is let go", async () => {
  await using set = await sleepers(2);
  const last = `(await import("node:fs")).rmSync(${JSON.stringify(join(folder, "gone"))});
    try { guardian.release(pids); } catch (error) { process.exit(error.code === "NOT_RELEASED" && /ENOENT/.test(error.why) ? 7 : 8); }`;
  assert.equal(await holding(set.pids, "gone", last), 7);
});
