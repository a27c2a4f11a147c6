/** Images that are not what was written, and surroundings that have changed: refused before anything is made. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readImage } from "./kmonte-library.ts";
import { compile, Program, until } from "./harness.ts";
import { assertUnharmed, fails, kmonte, launch, KMONTE, parseError, startWitness } from "./kmonte.ts";

function flipBit(path: string, at: number): void {
  const bytes = readFileSync(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

function edit(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, "utf8");
  assert.notEqual(text.replace(from, to), text);
  writeFileSync(path, text.replace(from, to));
}

/** Damage to the manifest is seen by its signature; what is said here is what comes of it with --unsigned. */
const OF_MANIFEST = /manifest is (cut|empty|something)|a digest|newer|leads out/;

/** What happens to the image, and the code that the thaw answers with. */
const DAMAGES: readonly [what: string, code: string, damage: (image: string, core: string) => void][] = [
  ["the core file is missing", "IMAGE_FILE_MISSING", (_, core) => rmSync(core)],
  ["state.json is missing", "IMAGE_FILE_MISSING", (image) => rmSync(join(image, "state.json"))],
  ["the manifest is missing", "NOT_AN_IMAGE", (image) => rmSync(join(image, "manifest.json"))],
  ["the core file is cut short", "IMAGE_FILE_SIZE", (_, core) => truncateSync(core, 10_000)],
  ["the core file is empty", "IMAGE_FILE_SIZE", (_, core) => truncateSync(core, 0)],
  ["state.json is cut short", "IMAGE_FILE_SIZE", (image) => truncateSync(join(image, "state.json"), 100)],
  ["the manifest is cut short", "IMAGE_NOT_JSON", (image) => truncateSync(join(image, "manifest.json"), 200)],
  ["the manifest is empty", "IMAGE_NOT_JSON", (image) => truncateSync(join(image, "manifest.json"), 0)],
  ["a bit of the core file's header is flipped", "IMAGE_FILE_DIGEST", (_, core) => flipBit(core, 5)],
  ["a bit of the memory is flipped", "IMAGE_FILE_DIGEST", (_, core) => flipBit(core, -100_000)],
  ["a bit of state.json is flipped", "IMAGE_FILE_DIGEST", (image) => flipBit(join(image, "state.json"), 500)],
  [
    "a digest is another",
    "IMAGE_FILE_DIGEST",
    (image) => edit(join(image, "manifest.json"), /"[0-9a-f]{64}"/, `"${"0".repeat(64)}"`),
  ],
  [
    "a newer kmonte wrote it",
    "FORMAT_NEWER",
    (image) => edit(join(image, "manifest.json"), /"format": \d+/, '"format": 4711'),
  ],
  [
    "the manifest is something else",
    "IMAGE_SCHEMA",
    (image) => writeFileSync(join(image, "manifest.json"), '{"format": 1}'),
  ],
  [
    "a file name leads out of the image",
    "IMAGE_SCHEMA",
    (image) => edit(join(image, "manifest.json"), '"state.json"', '"../state.json"'),
  ],
];

describe("a frozen image", () => {
  let program: Program;
  let image: string;
  before(async () => {
    program = await startWitness(4);
    image = await program.freeze();
  });
  after(() => program[Symbol.asyncDispose]());

  for (const [what, code, damage] of DAMAGES) {
    test(`is refused when ${what}`, async () => {
      const copy = join(program.directory, "copy");
      cpSync(image, copy, { recursive: true });
      damage(copy, join(copy, `${program.pid}.core`));
      const altered = OF_MANIFEST.test(what);
      const outcome = await kmonte("thaw", copy, "--json");
      assert.equal(parseError(outcome).code, altered ? "SIGNATURE_WRONG" : code);
      assert.equal(outcome.status, 3);
      assert.throws(() => readImage(copy, { unsigned: true }), { code });
      assert.ok(!existsSync(`/proc/${program.pid}`), "nothing was made");
      rmSync(copy, { recursive: true });
    });
  }
  test("is not found where there is none", () => fails("NOT_AN_IMAGE", 3, "thaw", "/nowhere/at/all"));
  test("is shown to people and to scripts, and to readers that go away", async () => {
    const shown = await kmonte("inspect", image);
    assert.equal(shown.status, 0);
    assert.match(shown.stdout, new RegExp(`^${program.pid} +witness`, "m"));
    const { state } = JSON.parse((await kmonte("inspect", image, "--json")).stdout) as {
      state: { processes: { pid: number }[] };
    };
    assert.equal(state.processes[0]?.pid, program.pid);
    const script = `"${KMONTE}" inspect "$1" --json | head -c 10; echo " \${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await launch("bash", ["-c", script, "-", image]).done;
    assert.equal(stderr, "");
    assert.match(stdout, /^\{\s+"manif 0\n$/);
  });
  test("thaws without a home, a PATH or a terminal, and the program never noticed", async () => {
    const env = { KMONTE_KEYS: process.env["KMONTE_KEYS"] };
    const { status, stdout, stderr } = await launch(KMONTE, ["thaw", image], { env, cwd: "/" }).done;
    assert.equal(status, 0, stderr);
    assert.match(stdout, new RegExp(`^Running again: witness \\(${program.pid}\\)`));
    await fails("ALREADY_THAWED", 3, "thaw", image);
    await fails("PID_TAKEN", 3, "thaw", image, "--again");
    await assertUnharmed(program);
  });
});

describe("surroundings that have changed", () => {
  test("a program's file that is another, or gone, is refused by name; put back, it thaws", async () => {
    await using keeper = Program.start("sleep", ["1000"]);
    const executable = join(keeper.directory, "mine");
    copyFileSync(compile("../fixtures/witness.c"), executable);
    await using program = Program.start(executable, ["1"]);
    await program.waitFor(/^READY$/m);
    const image = await program.freeze();
    const kept = `${executable}.kept`;
    execFileSync("cp", ["-p", executable, kept]);

    rmSync(executable);
    await fails("FILE_MISSING", 3, "thaw", image);
    copyFileSync(kept, executable);
    utimesSync(executable, new Date(), new Date());
    await fails("FILE_CHANGED", 3, "thaw", image);
    writeFileSync(executable, Buffer.concat([readFileSync(executable), Buffer.from("x")]));
    await fails("FILE_CHANGED", 3, "thaw", image);
    assert.ok(!existsSync(`/proc/${program.pid}`));

    // Node's copy keeps times to the microsecond only; the image has nanoseconds.
    execFileSync("cp", ["-p", kept, executable]);
    assert.equal((await kmonte("thaw", image)).status, 0);
    await assertUnharmed(program);
  });

  test("a pid that is taken: said together with whatever else is wrong", async () => {
    await using program = await startWitness(1);
    const image = join(program.directory, "image");
    assert.equal((await kmonte("freeze", String(program.pid), "-o", image, "--leave-running")).status, 0);
    const output = join(program.directory, "output");
    renameSync(output, `${output}.away`);
    const outcome = await kmonte("thaw", image, "--json");
    renameSync(`${output}.away`, output);
    assert.equal(outcome.status, 3);
    const { code, refusals } = parseError(outcome);
    assert.equal(code, "CANNOT_THAW");
    assert.deepEqual(new Set(refusals?.map((refusal) => refusal.code)), new Set(["PID_TAKEN", "FILE_MISSING"]));
    await assertUnharmed(program);
    await until(() => !existsSync(`/proc/${program.pid}`), "the end of the program");
    assert.deepEqual(
      readdirSync(program.directory).filter((name) => name.startsWith(".")),
      [],
    );
  });
});
