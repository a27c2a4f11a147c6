/** `--close-external`: connections to processes outside of the set come back closed, and the freeze says which. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { check, freeze, KmonteError, RefusalList, thaw } from "./kmonte-library.ts";
import { Program, until } from "./harness.ts";

const SCRIPT = new URL("fixtures/outside-peers.py", import.meta.url).pathname;

test("connections to a process outside come back closed", async () => {
  await using program = Program.start("/usr/bin/python3", [SCRIPT]);
  await program.waitFor(/^READY$/m);
  const directory = `${program.directory}/image`;
  await assert.rejects(freeze({ pids: [program.pid], directory, end: "kill" }), (error) => {
    assert.ok(error instanceof KmonteError);
    const refusals = error instanceof RefusalList ? error.refusals : [error];
    for (const refusal of refusals) {
      assert.equal(refusal.code, "EXTERNAL_SOCKET");
      assert.match(refusal.why ?? "", /process \d+ \(python3?, descriptor \d+\)/);
      assert.match(refusal.remedy ?? "", /--close-external/);
    }
    return refusals.length === 2;
  });
  const looked = await check([program.pid], { closeExternal: true });
  assert.deepEqual(looked.refusals, []);
  const set = await freeze({ pids: [program.pid], directory, end: "kill", closeExternal: true });
  assert.equal(set.notes.length, 3, set.notes.join("\n"));
  assert.equal(looked.notes.length, 3);
  for (const note of set.notes) assert.match(note, /comes back closed: process \d+ \(python3?\) outside/);
  const heard = `${program.directory}/heard`;
  await until(() => existsSync(heard) && readFileSync(heard, "utf8").split(" ").length === 3, "the outside to notice");
  await until(() => !existsSync(`/proc/${program.pid}`), "the id to be free again");
  await thaw({ directory });
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m, program.output);
});

test("clients outside that wait to be accepted are told that they are closed", async () => {
  const script = `
import signal, socket, subprocess, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
server = socket.create_server(("127.0.0.1", 0))
print("PORT", server.getsockname()[1], flush=True)
signal.sigwait({signal.SIGTERM})
server.settimeout(0.1)
try:
    server.accept()
    print("FAIL: somebody waits", flush=True)
except TimeoutError:
    print("PASS", flush=True)
`;
  await using program = Program.start("/usr/bin/python3", ["-c", script]);
  await program.waitFor(/^PORT \d+$/m);
  const client = connect(Number(/^PORT (\d+)$/m.exec(program.output)?.[1]), "127.0.0.1");
  await once(client, "connect");
  const end = once(client, "error");
  const directory = `${program.directory}/image`;
  const set = await freeze({ pids: [program.pid], directory, end: "kill", closeExternal: true });
  assert.match(set.notes.join("\n"), /^1 connections to 127\.0\.0\.1:\d+ that python3? \(\d+\) has not accepted/m);
  const [error] = (await end) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
  await until(() => !existsSync(`/proc/${program.pid}`), "the id to be free again");
  await thaw({ directory });
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m, program.output);
});
