/** Streams to the journal come back open, connections to the bus closed: with services around that kmonte finds by their places. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KMONTE, launch } from "./kmonte.ts";

interface Step {
  readonly step: string;
  readonly status: number;
  readonly answer: {
    readonly notes?: string[];
    readonly refusals?: { code: string }[];
    readonly error?: { code: string };
  };
}

interface After {
  readonly header: string[];
  readonly who: string[];
  readonly uid: number;
  readonly streams: number;
  readonly bus: string;
}

test("a service writes into the journal before and after, and waits until it is there", async () => {
  const script = new URL("fixtures/journal.py", import.meta.url).pathname;
  const { done } = launch("/usr/bin/unshare", ["--mount", "--", "/usr/bin/python3", script, KMONTE]);
  const { stdout, stderr } = await done;
  const steps = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Step);
  assert.equal(steps.length, 5, stdout + stderr);
  const [unread, frozen, without, thawed, after] = steps as [Step, Step, Step, Step, After & Step];
  assert.deepEqual(
    unread.answer.refusals?.map(({ code }) => code),
    ["UNIX_PENDING_DATA"],
    "the journal does not read",
  );
  assert.equal(frozen.status, 0, stdout);
  assert.ok(
    frozen.answer.notes?.some((note) => /connection to the system bus .* comes back closed/.test(note)),
    stdout,
  );
  assert.equal(without.status, 3);
  assert.equal(without.answer.error?.code, "JOURNAL_MISSING");
  assert.equal(thawed.status, 0, stdout);
  assert.ok(
    thawed.answer.notes?.some((note) => /datagrams to \/run\/systemd\/journal\/dev-log .*ECONNREFUSED/.test(note)),
    stdout,
  );
  assert.deepEqual(after.header, ["a name", "some.service", "28", "0", "0", "1", "0"]);
  assert.deepEqual(after.who, ["child", "parent"], "both have the same stream");
  assert.equal(after.streams, 2, "one before and one after");
  assert.equal(after.uid, 0, "the journal takes the unit from root");
  assert.equal(after.bus, "bus b''");
});
