/** Real programs look the same from outside before the freeze and after the thaw: what /proc shows of them. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { Program } from "./harness.ts";

interface Case {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** In the output, when it is up. */
  readonly ready: RegExp;
}

const PYTHON = "/usr/bin/python3";
const REDIS = "/usr/bin/redis-server";

const cases: readonly Case[] = [
  {
    name: "python3",
    command: PYTHON,
    args: ["-c", "import json, threading, time, zlib; print('up', flush=True); time.sleep(600)"],
    ready: /^up$/m,
  },
  {
    name: "node",
    command: process.execPath,
    args: ["-e", "console.log('up'); setInterval(() => {}, 1e6)"],
    ready: /^up$/m,
  },
  {
    name: "redis-server",
    command: REDIS,
    args: ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--logfile", ""],
    ready: /ready to accept|now ready/i,
  },
];

/** Everything that /proc tells of a process and that does not change by itself. */
function portrait(pid: number): Record<string, string | string[]> {
  const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, "latin1");
  const lines = read("smaps").split("\n");
  return {
    maps: read("maps").split("\n").map(withoutInodeOfMemory),
    vmFlags: lines.filter((line) => line.startsWith("VmFlags:")),
    cmdline: read("cmdline"),
    comm: read("comm"),
    environ: read("environ"),
    auxv: Buffer.from(read("auxv"), "latin1").toString("hex"),
    limits: read("limits").split("\n"),
    exe: readlinkSync(`/proc/${pid}/exe`),
    cwd: readlinkSync(`/proc/${pid}/cwd`),
    root: readlinkSync(`/proc/${pid}/root`),
    personality: read("personality"),
    stat: placesInStat(read("stat")),
  };
}

/** The kernel numbers memfds and shared memory anew. */
function withoutInodeOfMemory(line: string): string {
  return / (\/memfd:|\/dev\/zero \(deleted\)|anon_inode:)/.test(line)
    ? line.replace(/ [0-9a-f]+:[0-9a-f]+ \d+ /, " ")
    : line;
}

/** Addresses in /proc/PID/stat: code, stack, data, heap, arguments, environment (proc_pid_stat(5)). */
function placesInStat(text: string): string[] {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return [26, 27, 28, 45, 46, 47, 48, 49, 50, 51].map((field) => fields[field - 3] ?? "");
}

for (const { name, command, args, ready } of cases) {
  test(
    `${name} looks the same after the thaw`,
    { skip: existsSync(command) ? false : `${command} is missing` },
    async () => {
      await using program = Program.start(command, args);
      await program.waitFor(ready);
      // Threads that are still starting would map their stacks between the look and the freeze.
      await new Promise((resolve) => setTimeout(resolve, 500));
      const before = portrait(program.pid);
      await program.roundTrip();
      assert.deepEqual(portrait(program.pid), before);
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.ok(program.alive, "it did not live on");
    },
  );
}
