/** Would it work there? What a program holds against what another kernel offers, before anything is stopped. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { check } from "./kmonte-library.ts";
import type { HeldNeed } from "../src/freeze/check/kernel-needs.ts";
import { lackingIn, parseKernelConfig } from "../src/swap/kernel-config.ts";
import { Program } from "./harness.ts";
import { kmonte, parseError } from "./kmonte.ts";

/** Has an eventfd, an epoll instance, a socket of each of three families, and says so. */
const HOLDER = `
import os, select, socket, time
held = [select.epoll(), os.eventfd(0), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET6)]
print("READY", flush=True)
time.sleep(1000)
`;

const DEBIAN = `
CONFIG_X86_64=y
CONFIG_NR_CPUS=512
CONFIG_CHECKPOINT_RESTORE=y
CONFIG_TIME_NS=y
CONFIG_PROC_PAGE_MONITOR=y
CONFIG_EPOLL=y
CONFIG_EVENTFD=y
CONFIG_UNIX=m
CONFIG_INET=y
CONFIG_IPV6=y
CONFIG_EXT4_FS=y
CONFIG_XFS_FS=y
CONFIG_BTRFS_FS=y
CONFIG_OVERLAY_FS=y
CONFIG_TMPFS=y
`;

describe("a target kernel", () => {
  let needs: readonly HeldNeed[] = [];
  let pid = 0;
  before(async () => {
    await using program = Program.start("/usr/bin/python3", ["-c", HOLDER]);
    await program.waitFor(/^READY$/m);
    ({ needs } = await check([program.pid]));
    ({ pid } = program);
  });
  const lacking = (config: string, modules?: readonly string[], processors = 2) => {
    const offer = { options: parseKernelConfig(config), modules: modules && new Set(modules) };
    return lackingIn("9.9", offer, needs, processors).map(({ code, why }) => {
      assert.equal(code, "TARGET_KERNEL_LACKS");
      return why ?? "";
    });
  };

  test("that has everything is able", () => {
    assert.deepEqual(lacking(DEBIAN, ["unix"]), []);
  });
  test("lacks an option: named, with what needs it and who", () => {
    const without = DEBIAN.replace("CONFIG_EVENTFD=y", "# CONFIG_EVENTFD is not set").replace("CONFIG_IPV6=y\n", "");
    const [first, second, ...more] = lacking(without, ["unix"]).toSorted();
    assert.match(first ?? "", /CONFIG_EVENTFD.*eventfd\(2\)/);
    assert.match(second ?? "", /CONFIG_IPV6.*ipv6\(7\)/);
    assert.deepEqual(more, []);
    assert.equal(needs.find(({ option }) => option === "CONFIG_EVENTFD")?.pid, pid);
  });
  test("lacks a module's file, or all modules", () => {
    assert.match(lacking(DEBIAN, [])[0] ?? "", /module unix is missing/);
    assert.match(lacking(DEBIAN)[0] ?? "", /modules are not installed/);
  });
  test("is of another architecture, or for fewer processors", () => {
    assert.match(lacking(DEBIAN.replace("X86_64", "ARM64"), ["unix"])[0] ?? "", /another architecture/);
    assert.match(lacking(DEBIAN, ["unix"], 513)[0] ?? "", /512 processors/);
  });
});

test("kmonte check --to says it of a kernel in a directory of its own, with its modules beside it", async () => {
  await using program = Program.start("/usr/bin/python3", ["-c", HOLDER]);
  await program.waitFor(/^READY$/m);
  const boot = join(program.directory, "boot");
  const modules = join(program.directory, "lib/modules/9.9");
  mkdirSync(join(modules, "kernel/net/unix"), { recursive: true });
  mkdirSync(boot);
  writeFileSync(join(boot, "vmlinuz-9.9"), "");
  writeFileSync(join(boot, "config-9.9"), DEBIAN);
  writeFileSync(join(modules, "modules.dep"), "kernel/net/unix/unix.ko:\n");
  const ask = () => kmonte("check", "--to", join(boot, "vmlinuz-9.9"), String(program.pid), "--json");

  const lacks = await ask();
  assert.equal(lacks.status, 3);
  const { refusals } = JSON.parse(lacks.stdout) as { refusals: { code: string; why: string; pid: number }[] };
  assert.equal(refusals.length, 1);
  assert.equal(refusals[0]?.code, "TARGET_KERNEL_LACKS");
  assert.match(refusals[0]?.why ?? "", /module unix is missing/);
  assert.equal(refusals[0]?.pid, program.pid);

  writeFileSync(join(modules, "kernel/net/unix/unix.ko"), "");
  const able = await ask();
  assert.equal(able.status, 0, able.stdout);

  const nowhere = await kmonte("check", "--to", "/nowhere/vmlinuz-1", String(program.pid), "--json");
  assert.equal(parseError(nowhere).code, "NO_SUCH_KERNEL");
  assert.equal(program.alive, true);
  assert.equal(readFileSync(`/proc/${program.pid}/stat`, "utf8").includes(" T "), false);
});
