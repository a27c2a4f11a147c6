/** SECURITY.md names tests that exist, and what no other file shows of keys and directories. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  globSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freeze, thaw } from "./kmonte-library.ts";
import { machineKey, newMachineKey, trustedKeys } from "../src/image/trust/keys.ts";
import { stateDirectory } from "../src/lib/state-directory.ts";
import { Program } from "./harness.ts";
import { kmonte, KMONTE_OF_SOURCES } from "./kmonte.ts";

const ROOT = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "kmonte-security-"));
let program: Program;

before(() => {
  program = Program.start("/bin/sleep", ["1000"]);
});
after(async () => {
  await program[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test("every test that SECURITY.md names is there", () => {
  const rows = readFileSync(join(ROOT, "SECURITY.md"), "utf8")
    .split("\n")
    .filter((line) => /^\| (?!threat|-)/.test(line));
  assert.ok(rows.length > 15);
  const tests = globSync("test/*.test.ts", { cwd: ROOT })
    .map((name) => readFileSync(join(ROOT, name), "utf8"))
    .join("\n");
  for (const row of rows) {
    const name = /`([^`]+)` *\|$/.exec(row)?.[1];
    assert.ok(name, row);
    // Names made from a table have a part that changes.
    const parts = [name, name.replace(/^is refused when /, ""), name.replace("state.json", "${name}")];
    assert.ok(
      parts.some((part) => tests.includes(`"${part}"`) || tests.includes(`\`${part}\``)),
      name,
    );
  }
});

const job = (directory: string): Parameters<typeof freeze>[0] => ({ pids: [program.pid], directory, end: "resume" });

test("an image is its owner's alone, whatever the umask", async () => {
  const usual = process.umask(0);
  try {
    for (const umask of [0, 0o777]) {
      process.umask(umask);
      const image = join(folder, `umask-${umask}`);
      await freeze(job(image));
      assert.equal(statSync(image).mode & 0o777, 0o700);
      for (const name of readdirSync(image)) assert.equal(statSync(join(image, name)).mode & 0o777, 0o600, name);
    }
  } finally {
    process.umask(usual);
  }
});

test("what a killed freeze left behind goes with the next one", async () => {
  const left = join(folder, ".image.partial-4194303");
  mkdirSync(left, { mode: 0o700 });
  writeFileSync(join(left, "7.core"), "secret");
  writeFileSync(join(left, ".unfinished"), "");
  // What others have given such a name has nothing in it that says so.
  const other = join(folder, ".other.partial-4194303");
  mkdirSync(other, { mode: 0o700 });
  writeFileSync(join(other, "7.core"), "not kmonte's");
  const image = join(folder, "next");
  await freeze(job(image));
  assert.equal(existsSync(left), false);
  assert.deepEqual(readdirSync(other), ["7.core"]);
  assert.equal(existsSync(join(image, ".unfinished")), false);
});

test("what a killed freeze left behind goes with the next command, wherever that works", async () => {
  const image = join(folder, "killed");
  const env = {
    ...process.env,
    NODE_OPTIONS: `--import ${join(import.meta.dirname, "faults/inject.ts")}`,
    // When all is written and signed, at the program that gives the image its name.
    KMONTE_FAULT: "kill:1:SIGKILL:own memfd_create",
    KMONTE_FAULT_AFTER: String(program.pid),
  };
  const { signal, stderr } = spawnSync(
    KMONTE_OF_SOURCES,
    ["freeze", String(program.pid), "-o", image, "--leave-running"],
    {
      env,
      encoding: "utf8",
    },
  );
  assert.equal(signal, "SIGKILL", stderr);
  const left = readdirSync(folder).find((name) => name.startsWith(".killed.partial-"));
  assert.ok(left && existsSync(join(folder, left, "manifest.json.minisig")), "a whole image without its name");
  assert.equal((await kmonte("key", "list")).status, 0);
  assert.equal(existsSync(join(folder, left)), false);
  assert.deepEqual(readdirSync(join(stateDirectory(), "unfinished")), []);
});

test("an image that has expired is refused", async () => {
  const image = join(folder, "expiring");
  await freeze({ ...job(image), expiresAt: Date.now() + 1 });
  await sleep(5);
  await assert.rejects(thaw({ directory: image }), { code: "IMAGE_EXPIRED" });
});

test("keys that others could have changed are not used", () => {
  const keys = join(folder, "keys");
  newMachineKey(keys);
  assert.equal(trustedKeys(keys).length, 1);
  chmodSync(join(keys, "machine.pub"), 0o666);
  assert.throws(() => trustedKeys(keys), { code: "KEY_EXPOSED" });
  chmodSync(join(keys, "machine.pub"), 0o644);
  chmodSync(join(keys, "machine.key"), 0o640);
  assert.throws(() => machineKey(keys), { code: "KEY_EXPOSED" });
  chmodSync(join(keys, "machine.key"), 0o600);
  chmodSync(keys, 0o777);
  assert.throws(() => trustedKeys(keys), { code: "KEY_EXPOSED" });
  assert.throws(() => machineKey(keys), { code: "KEY_EXPOSED" });
});

test("keys below a folder that others could have changed are not used", () => {
  const above = join(folder, "above");
  const keys = join(above, "between/keys");
  newMachineKey(keys);
  const link = join(folder, "link");
  symlinkSync(join(above, "between"), link);
  const used = (path = keys): void => {
    assert.equal(trustedKeys(path).length, 1);
    machineKey(path);
  };
  const refused = (path = keys): void => {
    assert.throws(() => trustedKeys(path), { code: "KEY_EXPOSED" });
    assert.throws(() => machineKey(path), { code: "KEY_EXPOSED" });
    assert.throws(() => newMachineKey(path), { code: "KEY_EXPOSED" });
  };
  for (const mode of [0o777, 0o775, 0o757]) {
    chmodSync(above, mode);
    refused();
    refused(join(link, "keys"));
    chmodSync(above, 0o755);
    used();
  }
  // In a sticky folder only the owner of what stands there may rename it.
  chmodSync(above, 0o1777);
  used();
  used(join(link, "keys"));
  if (process.getuid?.() !== 0) return;
  chownSync(join(above, "between"), 65_534, 65_534);
  refused();
  chownSync(join(above, "between"), 0, 0);
  used();
  chownSync(above, 65_534, 65_534);
  refused();
  chownSync(above, 0, 0);
  lchownSync(link, 65_534, 65_534);
  refused(join(link, "keys"));
  used();
  // A folder that would be made there is refused as well.
  chmodSync(above, 0o777);
  assert.throws(() => newMachineKey(join(above, "other")), { code: "KEY_EXPOSED" });
  assert.equal(existsSync(join(above, "other/machine.key")), false);
});
