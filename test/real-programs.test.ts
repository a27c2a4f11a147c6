/** Programs that nobody here wrote, as a person would freeze and thaw them: under their own ids, and with their data. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { freeze, thaw } from "./kmonte-library.ts";
import { Program, until } from "./harness.ts";
import { assertRunning } from "./kmonte.ts";

function redis(port: number, ...args: string[]): string {
  return execFileSync("redis-cli", ["-p", String(port), ...args], { encoding: "utf8", timeout: 10_000 }).trim();
}

describe("real programs", () => {
  test("redis-server answers after a thaw, and again after a second one", async () => {
    const port = 20_000 + (process.pid % 10_000);
    const args = ["--port", String(port), "--save", "", "--bind", "127.0.0.1"];
    await using program = Program.start("redis-server", args);
    await program.waitFor(/Ready to accept connections/);
    redis(port, "set", "greeting", "hello");
    redis(port, "debug", "populate", "20000", "key", "100");
    const digest = redis(port, "debug", "digest");
    for (let round = 1; round <= 2; round += 1) {
      await program.roundTrip();
      assert.equal(redis(port, "get", "greeting"), "hello");
      assert.equal(redis(port, "debug", "digest"), digest);
      assert.equal(redis(port, "incr", "rounds"), String(round));
      assert.match(redis(port, "info", "server"), new RegExp(`process_id:${program.pid}\\b`));
    }
  });

  test("python3 with threads, a generator and a timer goes on counting", async () => {
    const source = `
import threading, time, itertools, signal, sys
count = itertools.count()
ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(time.monotonic()))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
def work(n):
    while True: time.sleep(0.02)
for n in range(3): threading.Thread(target=work, args=(n,), daemon=True).start()
print("ready", flush=True)
while True:
    time.sleep(0.02)
    print(next(count), len(ticks), threading.active_count(), flush=True)
`;
    await using program = Program.start("/usr/bin/python3", ["-c", source]);
    await program.waitFor(/^10 /m);
    await program.roundTrip();
    const lines = (): number[][] =>
      program.output
        .trim()
        .split("\n")
        .slice(1)
        .map((line) => line.split(" ").map(Number));
    const before = lines().length;
    await until(() => lines().length > before + 20, "twenty more lines");
    lines().forEach(([number, , threads], i) => {
      assert.equal(number, i, "the numbering is unbroken");
      assert.equal(threads, 4);
    });
    const ticks = lines().map((line) => line[1] ?? 0);
    assert.ok((ticks.at(-1) ?? 0) > (ticks[before] ?? 0), "the interval timer goes on");
  });

  test("node goes on with its timers, promises and files", async () => {
    const source = `
      const fs = require("fs"); let n = 0;
      setInterval(() => fs.appendFileSync("numbers", n++ + "\\n"), 20);
      (async () => { for (;;) { await new Promise((r) => setTimeout(r, 30)); await fs.promises.readFile("numbers"); } })();
      console.log("ready");`;
    await using program = Program.start(process.execPath, ["-e", source]);
    await program.waitFor(/^ready$/m);
    const numbers = (): string[] => {
      const path = join(program.directory, "numbers");
      return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
    };
    await until(() => numbers().length > 5, "the first numbers");
    await program.roundTrip();
    const before = numbers().length;
    await until(() => numbers().length > before + 20, "twenty more numbers");
    numbers().forEach((number, i) => assert.equal(number, String(i)));
  });

  test("a bash pipeline loses nothing of what stands in its pipes", async () => {
    const script = `i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); sleep 0.005; done |
      tee copy | while read -r n; do sleep 0.006; echo "got $n"; done; (exit 7) & wait $!; echo "done $?"`;
    await using program = Program.start("bash", ["-c", script]);
    await program.waitFor(/^got 20$/m);
    await program.roundTrip();
    await program.waitFor(/^got 60$/m);
    await program.roundTrip();
    await program.waitFor(/^done 7$/m);
    const expected = Array.from({ length: 400 }, (_, i) => `got ${i}`);
    assert.deepEqual(program.output.trim().split("\n").slice(0, -1), expected);
  });

  test("sqlite3 in the middle of a transaction commits it after the thaw", async () => {
    const script = `{ echo "create table t(n); begin; insert into t values (1);"; echo ".print open"; sleep 3;
      echo "insert into t values (2); commit; select 'sum', sum(n) from t;"; } | sqlite3 data.db`;
    await using program = Program.start("bash", ["-c", script]);
    await program.waitFor(/^open$/m);
    await program.roundTrip();
    await program.waitFor(/^sum\|3$/m);
  });

  test("a thawed program can be read by another tool of the same machine", async () => {
    await using program = Program.start("sleep", ["1000"]);
    await delay(50);
    const image = join(program.directory, "image");
    await freeze({ pids: [program.pid], directory: image, end: "kill" });
    await until(() => !existsSync(`/proc/${program.pid}`), "the id to be free");
    await thaw({ directory: image });
    assertRunning(program);
    const shown = spawnSync("ps", ["-o", "pid=,comm=,args=", "-p", String(program.pid)], { encoding: "utf8" }).stdout;
    assert.match(shown, new RegExp(`^ *${program.pid} sleep +sleep 1000$`, "m"));
  });
});
