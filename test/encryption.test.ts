/** Images that are encrypted as they are written: nobody reads them without the key, and age reads them with it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assert as assertAll, constant, integer, nat, oneof, property } from "fast-check";
import { freeze, thaw } from "./kmonte-library.ts";
import { AgeEncryption, AgeFile, encryptedSize } from "../src/image/encryption/age.ts";
import {
  formatIdentity,
  formatRecipient,
  newIdentity,
  parseIdentities,
  parseRecipient,
} from "../src/image/encryption/age-keys.ts";
import { FORMAT_VERSION } from "../src/image/version.ts";
import { compile, Program, until } from "./harness.ts";
import { assertUnharmed, fails, kmonte } from "./kmonte.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-encryption-"));
const image = join(folder, "image");
const keyFile = join(folder, "key.txt");
const identity = newIdentity();
const SECRET = "the secret words of the frozen";
let program: Program;

before(async () => {
  writeFileSync(keyFile, formatIdentity(identity), { mode: 0o600 });
  program = Program.start(compile("../fixtures/witness.c"), ["20", SECRET]);
  await program.waitFor(/^READY$/m);
  const encryptTo = [formatRecipient(identity.recipient)];
  await freeze({ pids: [program.pid], directory: image, end: "kill", encryptTo });
  await until(() => !existsSync(`/proc/${program.pid}`), "the end of the program");
});
after(async () => {
  await program[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

test("age decrypts what was written, and nothing of it stands there in the clear", () => {
  const names = readdirSync(image).filter((name) => !name.startsWith("manifest.json"));
  assert.ok(names.includes("state.json.age") && names.includes(`${program.pid}.core.age`), names.join(" "));
  for (const name of names) {
    assert.match(name, /\.age$/);
    assert.equal(readFileSync(join(image, name)).includes(SECRET), false, name);
    assert.equal(statSync(join(image, name)).mode & 0o777, 0o600);
  }
  const decrypt = (name: string): Buffer =>
    execFileSync("age", ["-d", "-i", keyFile, join(image, name)], { maxBuffer: 1 << 28 });
  assert.equal((JSON.parse(decrypt("state.json.age").toString()) as { format: number }).format, FORMAT_VERSION);
  assert.ok(decrypt(`${program.pid}.core.age`).includes(SECRET));
});

test("without the key, with another, or with one that others can read, it is refused", async () => {
  const refused = (code: string, ...identities: string[]): Promise<void> =>
    assert.rejects(thaw({ directory: image, identities }), { code });
  await fails("IMAGE_ENCRYPTED", 3, "thaw", image);
  await refused("IMAGE_ENCRYPTED");
  const other = join(folder, "other.txt");
  writeFileSync(other, formatIdentity(newIdentity()), { mode: 0o600 });
  await refused("IMAGE_ENCRYPTED", other);
  chmodSync(other, 0o644);
  await refused("KEY_EXPOSED", other);
  writeFileSync(other, "nothing");
  chmodSync(other, 0o600);
  await refused("KEY_DAMAGED", other);
  const to = { pids: [1], directory: join(folder, "x"), end: "kill", encryptTo: ["age1nobody"] } as const;
  await assert.rejects(freeze(to), { code: "NOT_A_KEY" });
});

test("one bit of the cipher text is found by the signature's digests before anything is decrypted", async () => {
  const copy = join(folder, "copy");
  cpSync(image, copy, { recursive: true });
  const path = join(copy, "state.json.age");
  const bytes = readFileSync(path);
  bytes[bytes.length - 50] = (bytes[bytes.length - 50] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(thaw({ directory: copy, identities: [keyFile] }), { code: "IMAGE_FILE_DIGEST" });
});

test("decrypt gives gdb a core file, readable by its owner alone", async () => {
  const plain = join(folder, "plain");
  const { status, stderr } = await kmonte("decrypt", image, "-i", keyFile, "-o", plain);
  assert.equal(status, 0, stderr);
  assert.equal(statSync(plain).mode & 0o777, 0o700);
  const core = join(plain, `${program.pid}.core`);
  assert.equal(statSync(core).mode & 0o777, 0o600);
  const said = execFileSync(
    "gdb",
    ["-q", "-nx", "-batch", "-ex", "info threads", compile("../fixtures/witness.c"), core],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  assert.match(said, /Thread|LWP/);
});

test("with the key it is shown, and it thaws", async () => {
  const shown = await kmonte("inspect", image, "-i", keyFile);
  assert.equal(shown.status, 0, shown.stderr);
  assert.match(shown.stdout, new RegExp(`^${program.pid} +witness`, "m"));
  const { status, stderr } = await kmonte("thaw", image, "-i", keyFile);
  assert.equal(status, 0, stderr);
  await assertUnharmed(program);
});

test("what is encrypted can be read from anywhere, at every size near a chunk's", () => {
  const path = join(folder, "stream.age");
  const sizes = oneof(integer({ min: 0, max: 70 }), integer({ min: 65_530, max: 65_542 }), constant(131_072));
  assertAll(
    property(sizes, integer({ min: 1, max: 70_000 }), nat(), (size, piece, where) => {
      const plain = Buffer.alloc(size);
      for (let i = 0; i < size; i += 1) plain[i] = i % 251;
      const out: Buffer[] = [];
      const encryption = new AgeEncryption([identity.recipient], (bytes) => out.push(Buffer.from(bytes)));
      for (let at = 0; at < size; at += piece) encryption.write(plain.subarray(at, at + piece));
      encryption.end();
      const sealed = Buffer.concat(out);
      assert.equal(sealed.length, encryptedSize(size, [identity.recipient]));
      writeFileSync(path, sealed);
      assert.ok(execFileSync("age", ["-d", "-i", keyFile, path]).equals(plain));
      const from = size === 0 ? 0 : where % size;
      const fd = openFor(path, sealed.length);
      const into = Buffer.alloc(Math.min(piece, size - from));
      fd.file.read(into, from);
      fd.close();
      assert.ok(into.equals(plain.subarray(from, from + into.length)));
    }),
    { numRuns: 25, seed: 1 },
  );
});

test("what age has encrypted is read", () => {
  const path = join(folder, "theirs.age");
  const plain = Buffer.from("from age\n".repeat(20_000));
  const recipients = ["-r", formatRecipient(newIdentity().recipient), "-r", formatRecipient(identity.recipient)];
  writeFileSync(path, execFileSync("age", recipients, { input: plain, maxBuffer: 1 << 28 }));
  const { file, close } = openFor(path, statSync(path).size);
  const into = Buffer.alloc(plain.length);
  file.read(into, 0);
  close();
  assert.ok(into.equals(plain));
});

test("keys are those of age-keygen", () => {
  const theirs = execFileSync("age-keygen", { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const [key] = parseIdentities(theirs);
  assert.ok(key);
  assert.equal(formatRecipient(key.recipient), /age1\w+/.exec(theirs)?.[0]);
  assert.ok(parseRecipient(formatRecipient(key.recipient)).equals(key.recipient));
  const own = execFileSync("age-keygen", ["-y"], { input: formatIdentity(identity), encoding: "utf8" });
  assert.equal(own.trim(), formatRecipient(identity.recipient));
});

function openFor(path: string, size: number): { file: AgeFile; close: () => void } {
  const fd = openSync(path, "r");
  const file = AgeFile.open(fd, size, [identity]);
  assert.ok(file);
  return { file, close: () => closeSync(fd) };
}
