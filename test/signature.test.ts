/** Who may be thawed: images signed by a key that is trusted here, and nothing else. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { thaw } from "./kmonte-library.ts";
import { newMachineKey, revokedKeys, revokeKey, trustedKeys, trustKey } from "../src/image/trust/keys.ts";
import { Program } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-signature-"));
const keys = join(folder, "keys");
const image = join(folder, "image");
const machineKeys = process.env["KMONTE_KEYS"];

let program: Program;

before(async () => {
  process.env["KMONTE_KEYS"] = keys;
  program = Program.start("/bin/sleep", ["1000"]);
  cpSync(await program.freeze(), image, { recursive: true });
});

after(async () => {
  await program[Symbol.asyncDispose]();
  process.env["KMONTE_KEYS"] = machineKeys;
  rmSync(folder, { recursive: true, force: true });
});

/** Nothing may be made of a refused image: not even its process id may be in use for a moment. */
async function assertRefused(directory: string, code: string): Promise<void> {
  const state = JSON.parse(readFileSync(join(image, "state.json"), "utf8")) as { processes: { pid: number }[] };
  await assert.rejects(thaw({ directory }), { code });
  for (const { pid } of state.processes) assert.equal(existsSync(`/proc/${pid}`), false);
}

function altered(name: string, change: (bytes: Buffer) => Buffer): string {
  const copy = mkdtempSync(join(folder, "altered-"));
  cpSync(image, copy, { recursive: true });
  writeFileSync(join(copy, name), change(readFileSync(join(image, name))));
  return copy;
}

test("the signing key is its owner's alone", () => {
  assert.equal(statSync(join(keys, "machine.key")).mode & 0o777, 0o600);
});

test("minisign accepts the signature", () => {
  const args = ["-V", "-p", join(keys, "machine.pub"), "-m", join(image, "manifest.json")];
  assert.match(execFileSync("minisign", args, { encoding: "utf8" }), /verified/);
});

for (const name of ["manifest.json", "manifest.json.minisig", "state.json"]) {
  test(`any one bit changed in ${name} is refused`, async () => {
    const size = statSync(join(image, name)).size;
    for (let sample = 0; sample < 8; sample += 1) {
      const at = Math.floor((sample * size) / 8);
      const copy = altered(name, (bytes) => {
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (sample % 8));
        return bytes;
      });
      await assert.rejects(thaw({ directory: copy }), { kind: "refused" }, `byte ${at}`);
      rmSync(copy, { recursive: true });
    }
  });
}

test("an image without a signature is refused", async () => {
  const copy = altered("manifest.json", (bytes) => bytes);
  rmSync(join(copy, "manifest.json.minisig"));
  await assertRefused(copy, "NOT_SIGNED");
});

test("a signature of another image is refused", async () => {
  const copy = altered("manifest.json", (bytes) => Buffer.concat([bytes, Buffer.from(" ")]));
  await assertRefused(copy, "SIGNATURE_WRONG");
});

test("a stranger's image is refused, until the stranger is trusted, and again when revoked", async () => {
  const own = readFileSync(join(keys, "machine.pub"), "utf8");
  process.env["KMONTE_KEYS"] = join(folder, "elsewhere");
  try {
    newMachineKey();
    await assertRefused(image, "KEY_NOT_TRUSTED");
    const id = trustKey(own);
    assert.deepEqual(
      trustedKeys().map((key) => key.own),
      [true, false],
    );
    const report = await thaw({ directory: image });
    for (const { pid } of report.processes) process.kill(pid, "SIGKILL");
    revokeKey(id);
    await assert.rejects(thaw({ directory: image }), { code: "KEY_REVOKED" });
    // Only the signature tells: the id in it may be anybody's word.
    const forged = altered("manifest.json", (bytes) => Buffer.concat([bytes, Buffer.from(" ")]));
    await assert.rejects(thaw({ directory: forged }), { code: "KEY_NOT_TRUSTED" });
    assert.deepEqual(
      revokedKeys().map((key) => key.id),
      [id],
    );
    assert.equal(trustKey(own), id);
    assert.deepEqual(revokedKeys(), []);
    assert.equal(trustedKeys().length, 2);
  } finally {
    process.env["KMONTE_KEYS"] = keys;
  }
});
