/**
 * A thaw on a kernel with another vDSO, without another kernel: the image's copy is changed such that each of its
 * functions would be a trap if it were ever run.
 */
import { livingThread } from "../src/sys/task.ts";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readDynamicSymbols } from "../src/lib/elf-symbols.ts";
import { redirect } from "../src/resources/memory/vdso.x86_64.ts";
import { remoteAddress } from "../src/lib/brand.ts";
import { TraceeMemory } from "../src/tracee/memory.ts";
import { thaw } from "./kmonte-library.ts";
import { compile, Program } from "./harness.ts";

const INT3 = 0xcc;

interface State {
  processes: { body?: { vdso: { code: string } } }[];
}
interface Manifest {
  files: { name: string; size: number; sha256: string[] }[];
}

/** Gives an image the vDSO of a kernel that never was. */
function changeVdso(directory: string): void {
  const statePath = join(directory, "state.json");
  const state = JSON.parse(readFileSync(statePath, "utf8")) as State;
  for (const { body } of state.processes)
    if (body) body.vdso.code = trapped(Buffer.from(body.vdso.code, "base64")).toString("base64");
  const text = JSON.stringify(state);
  writeFileSync(statePath, text);
  const manifestPath = join(directory, "manifest.json");
  const manifest = JSON.parse(readFileSync(manifestPath, "utf8")) as Manifest;
  for (const file of manifest.files) {
    if (file.name !== "state.json") continue;
    file.size = Buffer.byteLength(text);
    file.sha256 = [createHash("sha256").update(text).digest("hex")];
  }
  writeFileSync(manifestPath, JSON.stringify(manifest));
  rmSync(`${manifestPath}.minisig`);
}

function trapped(code: Buffer): Buffer {
  for (const { value, size, isFunction } of readDynamicSymbols(code))
    if (isFunction) code.fill(INT3, value, value + size);
  return code;
}

function mappedVdso(pid: number): string[] {
  return readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .filter((line) => line.includes("[vdso]"));
}

test("a program from a kernel with another vDSO calls this kernel's, also when it is frozen again", async () => {
  await using program = Program.start(compile("vdso.c"));
  await program.waitFor(/^READY$/m);
  const before = mappedVdso(program.pid);
  const first = await program.freeze();
  changeVdso(first);
  await thaw({ directory: first, unsigned: true });
  assert.equal(mappedVdso(program.pid).length, 1);
  assert.notDeepEqual(mappedVdso(program.pid), before, "the new vDSO stands where the old one stood");
  const second = await program.freeze();
  await thaw({ directory: second });
  const third = await program.freeze();
  changeVdso(third);
  await thaw({ directory: third, unsigned: true });
  process.kill(program.pid, "SIGTERM");
  await program.waitFor(/^(PASS|FAIL.*)$/m);
  assert.match(program.output, /^PASS$/m);
});

test("functions that the new kernel lacks become system calls, under both of their names", () => {
  const code = ownVdso();
  const poorer = Buffer.from(code);
  for (const name of ["__vdso_getcpu", "getcpu\0", "__vdso_time\0"]) {
    for (let at = poorer.indexOf(name); at >= 0; at = poorer.indexOf(name, at + 1)) poorer.write("X", at);
  }
  const patched = redirect(code, poorer, 0x7000_0000_0000);
  for (const { name, value } of readDynamicSymbols(code).filter((symbol) => symbol.isFunction)) {
    const start = patched.subarray(value, value + 8).toString("hex");
    if (name.endsWith("getcpu")) assert.equal(start, "b8350100000f05c3", name);
    else assert.match(start, /^48b8/, name);
  }
});

/** The vDSO of this process, out of /proc/self/mem. */
function ownVdso(): Buffer {
  const [, start = "", end = ""] =
    /^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$/m.exec(readFileSync("/proc/self/maps", "utf8")) ?? [];
  const address = Number.parseInt(start, 16);
  using memory = new TraceeMemory(livingThread(process.pid));
  return memory.read(remoteAddress(address), Number.parseInt(end, 16) - address);
}
