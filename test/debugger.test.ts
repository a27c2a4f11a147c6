/** The frozen form is read by tools that know nothing of kmonte: gdb, eu-readelf, jq, and any JSON Schema validator. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildSchemas } from "../scripts/schema.ts";
import { strictAjv } from "./json-schemas.ts";
import { freeze } from "./kmonte-library.ts";
import { compile, Program, until } from "./harness.ts";

const ROOT = join(import.meta.dirname, "..");
const TOOL_TIMEOUT_MS = 60_000;

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: TOOL_TIMEOUT_MS });
  assert.equal(status, 0, `${command}: ${stdout}${stderr}`);
  return stdout;
}

describe("an image of a program with threads", () => {
  const executable = compile("threads.c");
  let program: Program;
  let image: string;
  before(async () => {
    program = Program.start(executable);
    await program.waitFor(/^READY$/m);
    image = join(program.directory, "image");
    await freeze({ pids: [program.pid], directory: image, end: "resume" });
  });
  after(() => program[Symbol.asyncDispose]());
  const core = (): string => join(image, `${program.pid}.core`);

  test("gdb shows every thread where it was, by the names of its functions", () => {
    const args = ["-q", "-batch", "-nx", "-ex", "thread apply all backtrace", executable, core()];
    const out = run("gdb", args);
    const threads = out.split(/^Thread \d+ /m).slice(1);
    assert.equal(threads.length, 21, out);
    assert.equal(threads.filter((text) => /\bwork \(argument=/.test(text)).length, 20, out);
    assert.equal(threads.filter((text) => /\bsigsuspend\b[^]*\bmain \(\)/.test(text)).length, 1, out);
    const tids = readdirSync(`/proc/${program.pid}/task`).map(Number).sort();
    const shown = [...out.matchAll(/^Thread \d+ \((?:Thread 0x[0-9a-f]+ \()?LWP (\d+)/gm)].map((match) =>
      Number(match[1]),
    );
    assert.deepEqual(shown.sort(), tids);
  });

  test("gdb reads the program's variables and its vector registers", () => {
    const args = [
      "-q",
      "-batch",
      "-nx",
      "-ex",
      "print stop",
      "-ex",
      "print tids[7] > 0",
      "-ex",
      "info registers xmm0 rip",
    ];
    const out = run("gdb", [...args, executable, core()]);
    assert.match(out, /^\$1 = 0$/m);
    assert.match(out, /^\$2 = 1$/m);
    assert.match(out, /^xmm0 .*v4_float/m);
    assert.match(out, /^rip .*<.*\+\d+>/m);
  });

  test("eu-readelf reads the notes", () => {
    const out = run("eu-readelf", ["-n", core()]);
    assert.equal([...out.matchAll(/\bPRSTATUS\b/g)].length, 21, out);
    assert.match(out, new RegExp(`PRPSINFO[^]*pid: ${program.pid}\\b`));
    assert.match(out, new RegExp(`PRPSINFO[^]*fname: threads`));
    assert.match(out, /\bAUXV\b[^]*SYSINFO_EHDR/);
    assert.match(out, new RegExp(`\\bFILE\\b[^]*${realpathSync(executable)}`));
  });

  test("eu-readelf finds the memory inside the file, on pages", () => {
    const out = run("eu-readelf", ["-l", core()]);
    const loads = [...out.matchAll(/^ *LOAD +(0x[0-9a-f]+) (0x[0-9a-f]+) 0x[0-9a-f]+ (0x[0-9a-f]+) (0x[0-9a-f]+)/gm)];
    assert.ok(loads.length > 10, out);
    const { size } = statSync(core());
    for (const [line, offset, address, inFile, inMemory] of loads) {
      assert.ok(Number(offset) + Number(inFile) <= size, line);
      assert.equal(Number(offset) % 4096, 0, line);
      assert.equal(Number(address) % 4096, 0, line);
      assert.ok(Number(inFile) <= Number(inMemory), line);
    }
  });

  test("jq reads state.json", () => {
    const filter = '.processes[0] | "\\(.pid) \\(.command) \\(.body.threads | length)"';
    assert.equal(run("jq", ["-r", filter, join(image, "state.json")]).trim(), `${program.pid} threads 21`);
  });
});

describe("the JSON Schemas", () => {
  for (const [name, text] of Object.entries(buildSchemas())) {
    test(`schema/${name} is what the source says (else: npm run schema)`, () => {
      const path = join(ROOT, "schema", name);
      assert.ok(existsSync(path), `${path} is missing`);
      assert.equal(readFileSync(path, "utf8"), text);
    });
  }

  test("a real image is valid, and a changed one is not", async () => {
    await using program = Program.start("bash", [
      "-c",
      "sleep 100 | cat & (exit 3) & exec sleep 101 >file 3</dev/null",
    ]);
    await until(() => existsSync(join(program.directory, "file")), "the shell to have started all");
    await until(() => readFileSync(`/proc/${program.pid}/comm`, "utf8") === "sleep\n", "the exec");
    const image = join(program.directory, "image");
    const set = await freeze({ pids: [program.pid], directory: image, end: "resume" });
    // The shell may or may not have waited for its short-lived child before it became sleep.
    assert.ok(set.processes.length >= 3);
    const ajv = strictAjv();
    for (const name of ["state", "manifest"]) {
      const validate = ajv.getSchema(`${name}.schema.json`);
      assert.ok(validate);
      const value = JSON.parse(readFileSync(join(image, `${name}.json`), "utf8")) as Record<string, unknown>;
      assert.ok(validate(value), JSON.stringify(validate.errors, undefined, 1));
      assert.ok(!validate({ ...value, surplus: 1 }));
      assert.ok(!validate({ ...value, format: 0 }));
      assert.ok(!validate({ ...value, files: { f1: { kind: "no-such-kind", flags: "0", position: "0", state: {} } } }));
    }
  });
});
