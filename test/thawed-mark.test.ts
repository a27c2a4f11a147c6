/** At most one of each process: an image that was thawed says so, and is not thawed a second time unasked. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { thaw } from "./kmonte-library.ts";
import { presentBoot } from "../src/sys/boot.ts";
import { readStat } from "../src/proc/read.ts";
import { compile, Program, until } from "./harness.ts";
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

test("a mark of another boot or machine whose release was cut short is not known to have lived or not", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const said = { step: "releasing", at: new Date().toISOString(), kernel: "6.1", bootId: "another" };
  writeFileSync(mark(image), JSON.stringify(said));
  await assert.rejects(thaw({ directory: image }), { code: "THAW_CUT_SHORT" });
  // In this boot the register of the machine would have an entry, if they had lived.
  writeFileSync(mark(image), JSON.stringify({ ...said, bootId: presentBoot() }));
  await thaw({ directory: image });
  assert.equal(program.alive, true);
});

test("a mark that nobody wrote whole is refused", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  writeFileSync(mark(image), "{");
  await assert.rejects(thaw({ directory: image }), { code: "THAWED_MARK_BROKEN" });
});

test("a mark that is a FIFO or a link is no mark, and nobody waits for it", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  execFileSync("mkfifo", [mark(image)]);
  await assert.rejects(thaw({ directory: image }), { code: "THAWED_MARK_BROKEN" });
  rmSync(mark(image));
  symlinkSync("/etc/hostname", mark(image));
  await assert.rejects(thaw({ directory: image }), { code: "THAWED_MARK_BROKEN" });
});

test("with --remove nothing but the mark stays, and the image is thawed no more", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  writeFileSync(join(image, "mine.txt"), "what somebody else has put there stays");
  const { status, stderr } = await kmonte("thaw", image, "--remove");
  assert.equal(status, 0, stderr);
  assert.equal(program.alive, true);
  assert.deepEqual(readdirSync(image).sort(), ["mine.txt", "thawed.json"]);
  assert.equal(JSON.parse(readFileSync(mark(image), "utf8")).step, "removed");
  await end(program.pid);
  for (const again of [false, true])
    await assert.rejects(thaw({ directory: image, again }), { code: "ALREADY_THAWED" });
});

test("an image whose program ends as soon as it runs is kept", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kmonte-kept-"));
  await using program = Program.start(compile("../fixtures/ends-without.c"), [folder]);
  await program.waitFor(/^READY$/m);
  const image = await program.freeze();
  rmdirSync(folder);
  const report = await thaw({ directory: image, remove: true });
  assert.match(report.notes.join(), /kept: process \d+ has ended already/);
  assert.equal(JSON.parse(readFileSync(mark(image), "utf8")).step, "released");
  assert.ok(existsSync(join(image, "state.json")));
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

test("a script that thaws at once waits for those whose end nobody has noticed yet", async () => {
  // A group whose leader is gone: nobody waits for its members before the test's own init does.
  const script = `sleep 1001 & sleep 1002 & echo READY; wait`;
  await using program = Program.start("/bin/sh", ["-c", script]);
  await program.waitFor(/^READY$/m);
  const image = join(program.directory, "image");
  for (let i = 0; i < 3; i += 1) {
    const frozen = await kmonte("freeze", String(program.pid), "-o", image);
    assert.equal(frozen.status, 0, frozen.stderr);
    const thawed = await kmonte("thaw", image, "--remove");
    assert.equal(thawed.status, 0, thawed.stderr);
    rmSync(image, { recursive: true });
  }
});

test("who stays in the group of somebody frozen is told of, and keeps the thaw waiting", async () => {
  const script = `import os, time
leader = os.fork()
if leader: os.setpgid(leader, leader)
if leader and os.fork() == 0: os.setpgid(0, leader); print("READY", leader, os.getpid(), flush=True)
time.sleep(1000)`;
  await using program = Program.start("/usr/bin/python3", ["-c", script]);
  await program.waitFor(/^READY \d+ \d+$/m);
  const [, leader = "", member = ""] = /^READY (\d+) (\d+)$/m.exec(program.output) ?? [];
  const image = join(program.directory, "image");
  const frozen = await kmonte("freeze", leader, "-o", image);
  assert.equal(frozen.status, 0, frozen.stderr);
  assert.match(frozen.stderr, new RegExp(`process group of python3 \\(${member}\\) keeps the id ${leader} in use`));
  await until(() => readStat(Number(leader))?.state === "Z", "the end of the leader");
  const group = { code: "PID_TAKEN", message: new RegExp(`the process group of python3 \\(${member}\\)`) };
  try {
    await assert.rejects(thaw({ directory: image }), group);
  } finally {
    process.kill(Number(member), "SIGKILL");
  }
});
