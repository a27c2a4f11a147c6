/** The machine remembers which images live or lived here: no copy of one and no restored mark brings them back unasked. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Claim, MOST_REMEMBERED } from "../src/image/thawed/register.ts";
import { thaw } from "./kmonte-library.ts";
import { Program, until } from "./harness.ts";
import { KMONTE, kmonte, parseError } from "./kmonte.ts";

const folder = mkdtempSync(join(tmpdir(), "kmonte-register-"));
const before = process.env["KMONTE_STATE"];
process.env["KMONTE_STATE"] = join(folder, "state");
after(() => {
  if (before === undefined) delete process.env["KMONTE_STATE"];
  else process.env["KMONTE_STATE"] = before;
  rmSync(folder, { recursive: true, force: true });
});

const REGISTER = join(folder, "state/thawed");
const idOf = (image: string) =>
  createHash("sha256")
    .update(readFileSync(join(image, "manifest.json")))
    .digest("hex");

async function end(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(() => !existsSync(`/proc/${pid}`), `the end of ${pid}`);
}

test("a copy of an image that was thawed is refused, and so is one whose mark was removed", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const copy = join(program.directory, "copy");
  cpSync(image, copy, { recursive: true });
  await thaw({ directory: image });
  assert.deepEqual(readdirSync(REGISTER), [idOf(image)]);
  // In another pid namespace its ids are free while it lives here.
  const args = ["-pf", "--kill-child", "--mount-proc", KMONTE, "thaw", copy, "--json"];
  const inside = spawnSync("unshare", args, { encoding: "utf8" });
  assert.equal(inside.status, 3, inside.stdout + inside.stderr);
  assert.equal(parseError({ status: 3, stdout: inside.stdout, stderr: "" }).code, "ALREADY_THAWED");
  await end(program.pid);
  await assert.rejects(thaw({ directory: copy }), { code: "ALREADY_THAWED" });
  rmSync(join(image, "thawed.json"));
  await assert.rejects(thaw({ directory: image }), { code: "ALREADY_THAWED" });
  assert.equal(program.alive, false);
  await thaw({ directory: copy, again: true });
  assert.equal(program.alive, true);
});

test("an image whose release was cut short is thawed only when asked for, and not while another thaw releases it", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const about = join(REGISTER, `${idOf(image)}.about`);
  {
    using _ = Claim.make({ id: idOf(image), shown: image, again: false });
    for (const again of [false, true])
      await assert.rejects(thaw({ directory: image, again }), { code: "THAW_IN_PROGRESS" });
  }
  assert.ok(existsSync(about), "nobody has said what became of it");
  await assert.rejects(thaw({ directory: image }), { code: "THAW_CUT_SHORT" });
  await thaw({ directory: image, again: true });
  assert.equal(program.alive, true);
  assert.equal(existsSync(about), false);
});

test("a thaw that fails leaves no entry", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = join(program.directory, "image");
  const frozen = await kmonte("freeze", String(program.pid), "-o", image, "--leave-running");
  assert.equal(frozen.status, 0, frozen.stderr);
  await assert.rejects(thaw({ directory: image }), { code: "PID_TAKEN" });
  assert.equal(
    readdirSync(REGISTER).some((name) => name.startsWith(idOf(image))),
    false,
  );
});

test("nothing is thawed that the machine cannot remember", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const file = join(folder, "file");
  writeFileSync(file, "");
  const env = { ...process.env, KMONTE_STATE: join(file, "below") };
  const { status, stdout } = spawnSync(KMONTE, ["thaw", image, "--json"], { env, encoding: "utf8" });
  assert.equal(status, 1, stdout);
  assert.equal(parseError({ status: 1, stdout, stderr: "" }).code, "THAWED_REGISTER");
  assert.equal(program.alive, false);
  assert.equal(existsSync(join(image, "thawed.json")), false);
  await thaw({ directory: image });
});

test("an image that cannot be written to is thawed, once", async () => {
  await using program = Program.start("/bin/sleep", ["1000"]);
  const image = await program.freeze();
  const script = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$0" thaw "$1"`;
  const run = () => spawnSync("unshare", ["-m", "sh", "-c", script, KMONTE, image], { encoding: "utf8" });
  const first = run();
  assert.equal(first.status, 0, first.stderr);
  assert.match(first.stderr, /could not be marked as thawed/);
  assert.equal(program.alive, true);
  await end(program.pid);
  const second = run();
  assert.equal(second.status, 3, second.stderr);
  assert.match(second.stderr, /\[ALREADY_THAWED\]/);
});

test("the register does not grow without end, and nobody's entries push out another's", () => {
  const state = process.env["KMONTE_STATE"];
  process.env["KMONTE_STATE"] = join(folder, "full");
  try {
    const claim = (id: string, user?: number): void => {
      const identity = user === undefined ? undefined : { uid: user, gid: user, groups: [] };
      using entry = Claim.make({ id, shown: id, again: false, user: identity });
      renameSync(join(folder, "full/thawed", entry.before), join(folder, "full/thawed", entry.after));
    };
    claim("of-root");
    const script = `i=0; while [ $i -lt ${MOST_REMEMBERED} ]; do : > "$1/user-$i"; i=$((i + 1)); done; chown 61001 "$1"/user-*; touch -d '1 hour ago' "$1/user-7"`;
    spawnSync("sh", ["-c", script, "sh", join(folder, "full/thawed")]);
    claim("of-the-user", 61_001);
    const names = readdirSync(join(folder, "full/thawed"));
    assert.equal(names.length, MOST_REMEMBERED + 1);
    assert.ok(names.includes("of-root") && names.includes("of-the-user") && names.includes("user-8"));
    assert.equal(names.includes("user-7"), false, "the oldest one went");
  } finally {
    process.env["KMONTE_STATE"] = state;
  }
});
