/** What a person sees of long work: what is done, what is left, and when it will be over. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Pace } from "../src/cli/pace.ts";
import type { ProgressEvent } from "../src/lib/progress.ts";
import { KMONTE, launch, startWitness } from "./kmonte.ts";

const MIB = 2 ** 20;
/** So much that copying it takes longer than a line on a terminal stays. */
const MEBIBYTES = 400;

/** What is written to a pipe of these events. */
function linesOf(events: readonly ProgressEvent[]): string[] {
  const display = join(import.meta.dirname, "../src/cli/progress.ts");
  const script = `const { showProgress } = await import(${JSON.stringify(display)});
    const { listen, end } = showProgress(false);
    for (const event of ${JSON.stringify(events)}) listen(event);
    end();`;
  const flags = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
  const { stderr, status } = spawnSync(process.execPath, flags, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stderr.trimEnd().split("\n");
}

test("what is left is told by what was done, from the second second on, and anew for each step", () => {
  const pace = new Pace();
  const left = (step: string, at: number, done?: number): number | undefined =>
    pace.left({ step, at, total: 100, ...(done !== undefined && { done }) });
  assert.equal(left("copy", 0), undefined);
  assert.equal(left("copy", 0, 0), undefined);
  assert.equal(left("copy", 500, 10), undefined, "too soon");
  assert.equal(left("copy", 2000, 20), 8000);
  assert.equal(left("copy", 8000, 100), undefined, "it is over");
  assert.equal(left("verify", 9000, 50), undefined, "another step");
  assert.equal(left("verify", 11_000, 75), 2000);
  assert.equal(left("verify", 12_000, 10), undefined, "it began again");
});

describe("in a pipe", () => {
  test("a step is a line that says what it is; one that goes on tells of itself every five seconds", () => {
    const copied = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((second) => ({
      step: "copy",
      at: second * 1000,
      done: second * 100 * MIB,
      total: 1200 * MIB,
    }));
    assert.deepEqual(linesOf([{ step: "copy", at: 0 }, ...copied, { step: "stop", at: 12_000 }]), [
      "copy: large memory is copied while its programs run …",
      "copy: large memory is copied while its programs run, 500.0 MiB of 1.2 GiB, 7 s left …",
      "copy: large memory is copied while its programs run, 1000.0 MiB of 1.2 GiB, 2 s left …",
      "stop: the processes are stopped …",
    ]);
  });

  test("units are counted, and those that take long are named", () => {
    const stopping = { step: "stop-others", total: 3, counted: "units" };
    const waits = "waits for a.service (1min 30s at most)";
    const meaning = "systemd stops what does not come along; the rest still serves";
    assert.deepEqual(
      linesOf([
        { ...stopping, at: 0, done: 0 },
        { ...stopping, at: 5000, done: 2, detail: waits },
      ]),
      [`stop-others: ${meaning}, 0 of 3 units …`, `stop-others (${waits}): ${meaning}, 2 of 3 units …`],
    );
  });
});

test("on a terminal it is one line, as wide as that is, with the amounts", { timeout: 120_000 }, async () => {
  await using program = await startWitness(MEBIBYTES);
  const image = join(program.directory, "image");
  for (const [columns, amounts] of [
    [200, /copy: [^\r]*, \d+\.\d MiB of 4\d\d\.\d MiB/],
    [30, /copy: large memory is copied/],
  ] as const) {
    const command = `stty cols ${columns}; exec ${KMONTE} freeze ${program.pid} -o ${image}-${columns} --leave-running`;
    const { status, stdout } = await launch("script", ["-qec", command, "/dev/null"]).done;
    assert.equal(status, 0, stdout);
    const lines = stdout.split("\r\u001B[K").slice(1, -1);
    assert.ok(lines.length > 3 && lines.every((line) => line.length < columns && !line.includes("\n")), stdout);
    assert.match(lines.join("\r"), amounts);
  }
});
