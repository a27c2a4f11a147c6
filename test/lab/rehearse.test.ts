/** A rehearsal on this very machine: a copy of a running program thaws under another kernel, and nothing here notices. */
import assert from "node:assert/strict";
import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { CHECKOUT } from "../../lab/cache.ts";
import { guestKernel } from "../../lab/guest-kernel.ts";
import { LAB_PACKAGES } from "../../lab/machine.ts";
import { ensurePackages } from "../../scripts/packages.ts";
import { findKernel } from "../../src/swap/kernels.ts";
import { defaultRehearsalRoot } from "../../src/swap/store.ts";
import { readConsole, type Rehearsal, rehearse } from "../../src/swap/rehearse/rehearse.ts";
import { compile, Program } from "../harness.ts";
import { KMONTE, launch } from "../kmonte.ts";
import { bundle } from "../../scripts/bundle.ts";
import { parseResult } from "../json-schemas.ts";

const PATIENCE_S = 600;

describe("a rehearsal", () => {
  let image = "";
  before(async () => {
    ensurePackages([...LAB_PACKAGES, "qemu-system-common", "kmod", "xz-utils"]);
    image = (await guestKernel("6.12")).vmlinuz;
  });

  test("says go when the copy runs there; the program here goes on", { timeout: PATIENCE_S * 1000 }, async () => {
    // The C library chooses its functions by the processor, and the emulated one has no AVX-512.
    const plain = { GLIBC_TUNABLES: "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW" };
    await using program = Program.start(compile("vdso.c"), [], { LD_BIND_NOW: "1", ...plain });
    await program.waitFor(/^READY$/m);
    const health = `grep -q '^Pid:.${program.pid}$' /proc/${program.pid}/status && uname -r`;
    const result = await tried(image, program, health);
    assert.equal(result.go, true, result.said);
    assert.match(result.said, /^6\.12\./m);
    assert.equal(program.alive, true);
    process.kill(program.pid, "SIGTERM");
    await program.waitFor(/^(PASS|FAIL.*)$/m);
    assert.match(program.output, /^PASS$/m);
  });

  test("says no-go, and why, when the copy cannot be thawed there", { timeout: PATIENCE_S * 1000 }, async () => {
    // Nodes of /dev come with the kernel: one that somebody has made there is not in the machine.
    const node = `/dev/kmonte-rehearsed-${process.pid}`;
    const script = `mknod ${node} c 1 3; exec 9>${node}; echo READY; exec sleep 1000`;
    await using program = Program.start("/bin/sh", ["-c", script]);
    try {
      await program.waitFor(/^READY$/m);
      const result = await tried(image, program, "true");
      assert.deepEqual([result.go, result.thawed, result.healthy], [false, false, undefined], result.said);
      assert.match(result.said, new RegExp(node));
      assert.equal(program.alive, true);
    } finally {
      rmSync(node, { force: true });
    }
  });

  test("says no-go, and why, when the kernel does not come up", { timeout: PATIENCE_S * 1000 }, async () => {
    await using program = Program.start("/bin/sleep", ["1000"]);
    // Without its modules it does not find the host's files, and panics.
    const bare = join(program.directory, "vmlinuz-6.12.0-bare");
    copyFileSync(image, bare);
    copyFileSync(findKernel(image).config ?? "", join(program.directory, "config-6.12.0-bare"));
    const args = ["rehearse", "--to", bare, "--pid", String(program.pid), "--timeout", String(PATIENCE_S)];
    const { status, stdout, stderr } = await launch(KMONTE, args, { timeout: PATIENCE_S * 1000 }).done;
    assert.equal(status, 1, stdout + stderr);
    assert.match(stdout, /^No-go: Linux 6\.12\.0-bare/m);
    assert.match(stdout, /did not come as far as thawing/);
    assert.match(stdout, /Kernel panic/);
    assert.equal(program.alive, true);
    assert.deepEqual(readdirSync(defaultRehearsalRoot()), [], "the copy is left");
  });
});

async function tried(to: string, program: Program, command: string): Promise<Rehearsal> {
  const result = await rehearse({
    command: await compiled(join(program.directory, "kmonte")),
    to,
    pids: [program.pid],
    health: { command, seconds: 60 },
    seconds: PATIENCE_S,
    root: join(program.directory, "rehearsal"),
  });
  // What kmonte rehearse --json prints.
  parseResult("rehearse", JSON.stringify(result));
  return result;
}

/** As a package has it: an emulated processor takes long to read the sources. */
async function compiled(directory: string): Promise<string> {
  mkdirSync(directory);
  for (const name of ["node_modules", "package.json"]) symlinkSync(join(CHECKOUT, name), join(directory, name));
  cpSync(join(CHECKOUT, "bin"), join(directory, "bin"), { recursive: true });
  await bundle(join(directory, "dist"));
  return join(directory, "bin/kmonte");
}

test("the console tells how far the machine came", () => {
  const said = (...lines: string[]) => ["[ 1.0] Linux", ...lines].join("\r\n");
  const begin = "kmonte-rehearsal: begin";
  const thawed = "kmonte-rehearsal: thaw 0";
  assert.equal(readConsole(said(begin, thawed), false).go, true);
  assert.equal(readConsole(said(begin, thawed), true).go, false);
  assert.equal(readConsole(said(begin, thawed, "no", "kmonte-rehearsal: health 1"), true).healthy, false);
  assert.deepEqual(readConsole(said("panic"), false), {
    go: false,
    thawed: undefined,
    healthy: undefined,
    said: "[ 1.0] Linux\npanic",
  });
  const trace = Array.from({ length: 40 }, (_, i) => `  trace ${i}`);
  const panicked = readConsole(said("no root", "Kernel panic - not syncing: no root", ...trace), false);
  assert.match(panicked.said, /no root\n.*Kernel panic - not syncing: no root$/);
  const failed = readConsole(said(begin, "kmonte: no", "kmonte-rehearsal: thaw 3"), false);
  assert.deepEqual([failed.go, failed.thawed, failed.said], [false, false, "kmonte: no"]);
});
