/** The real redis-server with its client, frozen together while they talk: no answer is lost, doubled or late. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Program } from "./harness.ts";

const SCRIPT = new URL("real/redis.py", import.meta.url).pathname;
const missing = existsSync("/usr/bin/redis-server") ? false : "redis-server is not installed";

test("redis-server and its client", { skip: missing }, async () => {
  await using program = Program.start("/usr/bin/python3", [SCRIPT]);
  await program.waitFor(/^READY$/m);
  for (let round = 0; round < 3; round += 1) {
    await program.roundTrip();
    await sleep(150);
  }
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m, program.output);
});
