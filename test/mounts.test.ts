/** Which mounts a process sees, whatever has become of it, and file systems that are made anew. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { mountsOf } from "../src/proc/mounts.ts";
import { readStat } from "../src/proc/read.ts";
import { rootMountsOf } from "../src/units/machine-mounts.ts";
import { makeFileSystem } from "../src/sys/mount.ts";
import { livingThread } from "../src/sys/task.ts";
import { until } from "./harness.ts";

/** Prints the id of a child that ends at once and is not waited for. */
const PARENT = `import os, time
pid = os.fork()
if pid == 0: os._exit(0)
print(pid, flush=True)
time.sleep(1000)`;

test("a process that has ended and is not waited for sees none", async () => {
  const parent = spawn("/usr/bin/python3", ["-c", PARENT], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(createInterface(parent.stdout), "line")) as [string];
    const zombie = Number(line);
    await until(() => readStat(zombie)?.state === "Z", "the end of the child");
    assert.deepEqual(mountsOf(livingThread(zombie)), []);
    assert.deepEqual(rootMountsOf([zombie]), []);
    assert.ok(mountsOf(livingThread(parent.pid ?? 0)).some(({ mountPoint }) => mountPoint === "/"));
  } finally {
    parent.kill("SIGKILL");
  }
  assert.deepEqual(mountsOf(livingThread(4_194_304)), [], "nor does one that is not there");
});

test("a hierarchy of control groups is made anew while the one of its name is ending", () => {
  const options = ["none", `name=kmonte-test-${process.pid}`];
  for (let i = 0; i < 5; i += 1) closeSync(makeFileSystem("cgroup", "none", options));
});
