/** What `kmonte check` says will not be as it was after a thaw, for people and for scripts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { allDifferences } from "../src/resources/differences.ts";
import { linksOf, readStat } from "../src/proc/read.ts";
import { compile, Program, until } from "./harness.ts";
import { parseResult } from "./json-schemas.ts";
import { kmonte } from "./kmonte.ts";

interface Result {
  readonly differences: readonly { what: string; processes: readonly { pid: number; command: string }[] }[];
}

const HEADING = "Not as it was after a thaw:";
const OF_ALL = "- what no program keeps, such as the time at which it started and CPU time used so far";

/** What a check of the program says below its heading, and as JSON. */
async function check({ pid }: Program): Promise<{ lines: string[]; differences: Result["differences"] }> {
  const person = await kmonte("check", String(pid));
  assert.equal(person.status, 0, person.stdout + person.stderr);
  const lines = person.stdout.trimEnd().split("\n");
  const script = await kmonte("check", String(pid), "--json");
  const { differences } = parseResult<Result>("check", script.stdout);
  return { lines: lines.slice(lines.indexOf(HEADING) + 1), differences };
}

async function started(source: string): Promise<Program> {
  const program = Program.start(compile(source));
  await program.waitFor(/^READY$/m);
  return program;
}

/** Starts a program whose files all have names that stay, and waits until it is called `command` and `link` is open. */
async function startAlone(command: string, script: string, link = /./): Promise<Program> {
  const program = Program.start("/bin/sh", ["-c", `cd / && exec >/dev/null 2>&1; exec ${script}`]);
  await until(
    () => readStat(program.pid)?.comm === command && [...linksOf(program.pid).values()].some((one) => link.test(one)),
    script,
  );
  return program;
}

describe("what is not as it was after a thaw", () => {
  test("of a program that has nothing of the kind, one line holds for all", async () => {
    await using program = await startAlone("sleep", "/bin/sleep 1000");
    const { lines, differences } = await check(program);
    assert.deepEqual(lines, [OF_ALL]);
    assert.deepEqual(differences, []);
  });

  test("events of inotify that nobody has read", async () => {
    await using program = await started("inotify-events.c");
    const { lines, differences } = await check(program);
    const what =
      "events of inotify(7) that nobody had read: the kernel tells that some were lost (IN_Q_OVERFLOW) in their place";
    assert.ok(lines.includes(`- inotify-events (${program.pid}): ${what}`), lines.join("\n"));
    assert.equal(lines.at(-1), OF_ALL);
    const found = differences.find((one) => one.what === what);
    assert.deepEqual(found?.processes, [{ pid: program.pid, command: "inotify-events" }]);
  });

  test("of a watch without events, nothing", async () => {
    await using program = await startAlone(
      "python3",
      `/usr/bin/python3 -c 'import ctypes, time; c = ctypes.CDLL(None); c.inotify_add_watch(c.inotify_init(), b"/usr", 0x100); time.sleep(1000)'`,
      /inotify/,
    );
    const { differences } = await check(program);
    assert.deepEqual(differences, []);
  });

  test("segments of System V, once for all who have them", async () => {
    await using program = await started("memory-sysv.c");
    const { lines, differences } = await check(program);
    const what = "the times that shmctl(2), semctl(2) and msgctl(2) show, of System V objects that are made again";
    assert.equal(lines.filter((line) => line.endsWith(what)).length, 1, lines.join("\n"));
    const processes = differences.find((one) => one.what === what)?.processes ?? [];
    assert.ok(processes.length > 1 && processes.some(({ pid }) => pid === program.pid), JSON.stringify(processes));
  });

  test("files without a name, and with O_TMPFILE", async () => {
    await using program = await startAlone(
      "python3",
      `/usr/bin/python3 -c 'import os, time; f = os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR); time.sleep(1000)'`,
      / \(deleted\)$/,
    );
    const { differences } = await check(program);
    assert.deepEqual(
      differences.map(({ what, processes }) => [what, processes.map(({ pid }) => pid)]),
      [
        ["inode numbers and st_ctim of files without a name", [program.pid]],
        [
          "whether a file of O_TMPFILE was opened with O_EXCL as well: it may be given a name after the thaw",
          [program.pid],
        ],
      ],
    );
  });

  test("each is told once in the list of all, as part of a sentence", () => {
    const all = allDifferences();
    assert.ok(all.length > 10, String(all.length));
    assert.equal(new Set(all).size, all.length);
    for (const what of all) assert.doesNotMatch(what, /\.$|;$|\n/, what);
  });
});
