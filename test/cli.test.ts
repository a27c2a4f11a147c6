/** Bad input on the command line: a clear refusal with a stable code, and everything left as it was. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Program } from "./harness.ts";
import { assertRunning, assertUnharmed, fails, kmonte, KMONTE, launch, parseError, startWitness } from "./kmonte.ts";

const directory = mkdtempSync(join(tmpdir(), "kmonte-cli-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const fresh = (name: string): string => join(directory, name);

const VERBS = [
  "check",
  "freeze",
  "thaw",
  "inspect",
  "decrypt",
  "convert",
  "doctor",
  "serve",
  "swap",
  "kernels",
  "report",
];

describe("wrong usage is told with status 2", () => {
  const wrong = [
    ["frieze"],
    ["freeze"],
    ["freeze", "1"],
    ["freeze", "abc", "-o", "x"],
    ["freeze", "0", "-o", "x"],
    ["freeze", "-5", "-o", "x"],
    ["freeze", "99999999999", "-o", "x"],
    ["check"],
    ["thaw"],
    ["thaw", "x", "--boot"],
    ["inspect"],
    ["inspect", "a", "b"],
    ["swap", "--pid", "abc"],
    ["suspend", "now"],
    ["unprotect"],
    ["services", "--nonsense"],
    ["kernels", "--nonsense"],
    ["doctor", "6.12"],
  ];
  for (const args of wrong) {
    test(args.join(" "), async () => {
      const { status, stderr, stdout } = await kmonte(...args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /^(error|kmonte): /m);
      assert.equal(stdout, "");
      const script = await kmonte(...args, "--json");
      assert.equal(script.status, 2);
      assert.equal(parseError(script).code, "USAGE");
    });
  }
  test("a slip of the finger gets a suggestion", async () => {
    assert.match((await kmonte("frieze")).stderr, /freeze/);
  });
});

describe("help", () => {
  for (const args of [
    ["--help"],
    ["help"],
    ...VERBS.map((verb) => [verb, "--help"]),
    ...VERBS.map((verb) => ["help", verb]),
  ]) {
    test(args.join(" "), async () => {
      const { status, stdout, stderr } = await kmonte(...args);
      assert.equal(status, 0);
      assert.equal(stderr, "");
      assert.match(stdout, /^Usage: kmonte/);
      const verb = VERBS.find((name) => args.includes(name));
      if (verb) assert.match(stdout, /--json/);
      else for (const name of VERBS) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
    });
  }
  test("--version", async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as {
      version: string;
    };
    assert.equal((await kmonte("--version")).stdout, `${version}\n`);
  });
});

describe("processes that cannot be frozen", () => {
  const freezing = (pid: number): string[] => ["freeze", String(pid), "-o", fresh("never")];
  const kernelThread = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .find((pid) => Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[6]) & 0x20_0000);

  test("one that does not exist", () => fails("NO_SUCH_PROCESS", 3, ...freezing(4_100_000)));
  test("init", () => fails("INIT", 3, ...freezing(1)));
  test("a thread of the kernel", { skip: kernelThread === undefined && "none is visible here" }, () =>
    fails("KERNEL_THREAD", 3, ...freezing(Number(kernelThread))),
  );
  test("an ancestor of kmonte", () => fails("OWN_ANCESTOR", 3, ...freezing(process.pid)));
  test("kmonte itself", async () => {
    // The shell becomes kmonte: the id is its own.
    const { status, stdout } = await launch("sh", ["-c", `exec "${KMONTE}" freeze $$ -o "${fresh("never")}" --json`])
      .done;
    assert.equal(status, 3);
    assert.equal(parseError({ status, stdout, stderr: "" }).code, "OWN_ANCESTOR");
  });
  test("another user's, without root", async () => {
    await using program = await startWitness(1);
    chmodSync(directory, 0o777);
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    const outcome = await launch("setpriv", [...nobody, KMONTE, ...freezing(program.pid), "--json"], { cwd: "/" }).done;
    chmodSync(directory, 0o700);
    assert.equal(outcome.status, 3, outcome.stdout + outcome.stderr);
    assert.equal(parseError(outcome).code, "NOT_PERMITTED");
    await assertUnharmed(program);
  });
  test("one that a debugger holds", async () => {
    await using program = await startWitness(1);
    const gdb = launch("gdb", ["-q", "-nx", "-batch", "-p", String(program.pid), "-ex", "shell sleep 5"]);
    const held = (): boolean => !/^TracerPid:\s+0$/m.test(readFileSync(`/proc/${program.pid}/status`, "utf8"));
    for (let i = 0; i < 400 && !held(); i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    const outcome = await kmonte(...freezing(program.pid), "--json");
    assert.equal(parseError(outcome).code, "TRACED");
    gdb.child.kill("SIGKILL");
    await gdb.done;
  });
  test("nothing was written for any of them", () => {
    assert.deepEqual(readdirSync(directory), []);
  });
});

describe("places where no image can go", () => {
  let program: Program;
  before(async () => {
    program = await startWitness(4);
  });
  after(() => program[Symbol.asyncDispose]());
  const into = (path: string): string[] => ["freeze", String(program.pid), "-o", path];

  test("a directory that is not empty", async () => {
    mkdirSync(fresh("full"));
    writeFileSync(join(fresh("full"), "mine"), "precious");
    await fails("DIRECTORY_NOT_EMPTY", 3, ...into(fresh("full")));
    assert.deepEqual(readdirSync(fresh("full")), ["mine"]);
  });
  test("a file", async () => {
    writeFileSync(fresh("file"), "precious");
    await fails("DIRECTORY_NOT_USABLE", 3, ...into(fresh("file")));
    assert.equal(readFileSync(fresh("file"), "utf8"), "precious");
  });
  test("one whose parent is missing", () => fails("DIRECTORY_PARENT", 3, ...into(fresh("no/such"))));
  test("a full disk", async () => {
    const small = fresh("small");
    mkdirSync(small);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "kmonte-test", small]);
    try {
      await fails("DISK_FULL", 1, ...into(join(small, "image")));
      assert.deepEqual(readdirSync(small), []);
    } finally {
      execFileSync("umount", [small]);
    }
  });
  test("the place of an earlier image: nothing is overwritten", async () => {
    const path = fresh("earlier");
    assert.equal((await kmonte(...into(path), "--leave-running")).status, 0);
    const manifest = readFileSync(join(path, "manifest.json"), "utf8");
    await fails("DIRECTORY_NOT_EMPTY", 3, ...into(path));
    assert.equal(readFileSync(join(path, "manifest.json"), "utf8"), manifest);
  });
  test("the program never noticed", async () => {
    assertRunning(program);
    await assertUnharmed(program);
    assert.deepEqual(
      readdirSync(directory).filter((name) => name.includes("partial")),
      [],
    );
  });
});
