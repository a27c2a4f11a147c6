/** What commands print with --json is what schema/ says, and no command is without a schema. docs/json.md tells of both. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Command } from "commander";
import { buildSchemas, resultFile } from "../scripts/schema.ts";
import { RESULTS } from "../src/cli/json/results.ts";
import { createProgram } from "../src/cli/program.ts";
import { STEP_MEANINGS } from "../src/lib/step-meanings.ts";
import { Program, until } from "./harness.ts";
import { type Json, parseResult, readSchema, SCHEMAS, strictAjv } from "./json-schemas.ts";
import { KMONTE, launch, type Outcome } from "./kmonte.ts";
import { back, FAILURE, record, stateWith, unit, waiting } from "./report-records.ts";

const ROOT = join(import.meta.dirname, "..");
const directory = mkdtempSync(join(tmpdir(), "kmonte-json-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const env = {
  ...process.env,
  KMONTE_KEYS: join(directory, "keys"),
  KMONTE_STATE: join(directory, "state"),
  KMONTE_SOCKET: join(directory, "kmonte.sock"),
};

/** The commands that do something, by their words: "key list". */
function commands(of: Command = createProgram(), words = ""): Map<string, Command> {
  const below = of.commands.map((one): [string, Command] => [`${words} ${one.name()}`.trim(), one]);
  return new Map(below.flatMap(([name, one]) => (one.commands.length > 0 ? [...commands(one, name)] : [[name, one]])));
}

function run(args: readonly string[], by: readonly string[] = []): Promise<Outcome> {
  const [command = KMONTE, ...rest] = [...by, KMONTE, ...args, "--json"];
  return launch(command, rest, { env }).done;
}

/** Runs a command that must end with `status`; its result must be what the schema with this name says. */
async function result<T = Json>(name: string, args: readonly string[], status = 0): Promise<T> {
  const outcome = await run(args);
  assert.equal(outcome.status, status, outcome.stdout + outcome.stderr);
  return parseResult<T>(name, outcome.stdout);
}

/** Schemas of properties, with their paths. */
function* properties(schema: unknown, path: string): Generator<readonly [string, Json]> {
  if (typeof schema !== "object" || schema === null) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties")
      for (const [name, one] of Object.entries(value as Json)) yield [`${path}.${name}`, one as Json];
    yield* properties(value, key === "properties" ? path : `${path}/${key}`);
  }
}

describe("schemas", () => {
  const files = buildSchemas();

  test("each command takes --json, and has one; each one is of a command", () => {
    const found = commands();
    assert.ok(found.size > 20);
    for (const [name, command] of found) {
      assert.ok(
        command.options.some(({ long }) => long === "--json"),
        `kmonte ${name} has no --json`,
      );
      assert.ok(files[resultFile(name)], `kmonte ${name} --json has no schema in src/cli/json/results.ts`);
    }
    for (const name of Object.keys(RESULTS)) {
      const [words = "", option] = name.split(/ (?=--)/);
      if (words === "error") continue;
      const command = found.get(words);
      assert.ok(command, `${name} is no command`);
      assert.ok(option === undefined || command.options.some(({ long }) => long === option), `${name} is no option`);
    }
  });

  test("schema/ holds these and no others (else: npm run schema)", () => {
    assert.deepEqual(readdirSync(SCHEMAS).sort(), Object.keys(files).sort());
  });

  for (const file of Object.keys(files)) {
    test(`${file} is one in the eyes of ajv's strict mode`, () => {
      const ajv = strictAjv();
      if (!ajv.getSchema(file)) ajv.compile(readSchema(file));
    });
    // The state of an image is described in docs/format.md and in its sources.
    if (file === "state.schema.json") continue;
    test(`${file} says what each property is`, () => {
      const without = [...properties(readSchema(file), "")].filter(([, { description }]) => description === undefined);
      assert.deepEqual(
        without.map(([path]) => path),
        [],
      );
    });
  }

  test("they leave room for keys to come, and none for missing ones", () => {
    const validate = strictAjv().compile(readSchema("kmonte-key-trust.schema.json"));
    assert.ok(validate({ id: "0", later: 1 }));
    assert.ok(!validate({ later: 1 }));
    assert.throws(() => parseResult("key trust", '{"id": "0", "later": 1}'), /additional/);
    assert.throws(() => parseResult("key trust", "{}"), /required/);
  });

  test("docs/json.md names every command and schema", () => {
    const text = readFileSync(join(ROOT, "docs/json.md"), "utf8");
    for (const name of Object.keys(RESULTS)) assert.ok(text.includes(`\`${name}\``), name);
    for (const file of Object.keys(files)) assert.ok(text.includes(file), file);
    for (const step of Object.keys(STEP_MEANINGS)) assert.ok(text.includes(`| \`${step}\` `), step);
  });

  test("docs/json.md has valid examples", () => {
    const text = readFileSync(join(ROOT, "docs/json.md"), "utf8");
    const examples = [...text.matchAll(/^### `(.+)`$|^```json\n([^]*?)^```$/gm)];
    let name = "";
    let seen = 0;
    for (const [, heading, json] of examples) {
      name = heading ?? name;
      if (json === undefined) continue;
      parseResult(name, json);
      seen++;
    }
    assert.ok(seen > 20, String(seen));
  });
});

describe("results", () => {
  test("check, freeze, inspect, thaw", async () => {
    await using program = Program.start("sh", ["-c", "sleep 1000 & wait"]);
    await until(() => readdirSync(`/proc/${program.pid}/task`).length === 1 && program.alive, "the shell");
    const pid = String(program.pid);
    assert.deepEqual((await result("check", ["check", pid]))["refusals"], []);
    const image = join(directory, "image");
    const running = await result("freeze", ["freeze", pid, "-o", `${image}-running`, "--leave-running"]);
    assert.equal(running["running"], true);
    const frozen = await result("freeze", ["freeze", pid, "-o", image, "--expires", "1h"]);
    assert.equal(frozen["running"], false);
    await result("inspect", ["inspect", image]);
    const thawed = await result<{ living: number[] }>("thaw", ["thaw", image]);
    assert.ok(thawed.living.includes(program.pid));
    const again = await result<{ error: Json }>("error", ["thaw", image], 3);
    assert.equal(again.error["kind"], "refused");
  });

  test("check --all", async () => {
    // Apart from the machine's other processes, which are to go on undisturbed.
    const script = 'sleep 1000 & "$@"; status=$?; kill $!; exit $status';
    const outcome = await run(["check", "--all"], ["unshare", "-pf", "--mount-proc", "sh", "-c", script, "sh"]);
    assert.equal(outcome.status, 0, outcome.stderr);
    const { trees } = parseResult<{ trees: { processes: { command: string }[] }[] }>("check --all", outcome.stdout);
    assert.deepEqual(
      trees.map(({ processes }) => processes.map(({ command }) => command)),
      [["sleep"]],
    );
  });

  test("what stands in the way", async () => {
    await using one = Program.start("sh", ["-c", "sleep 1000 | sleep 1001 & wait"]);
    await until(() => childrenOf(one.pid).length === 2, "two children");
    const pid = String(childrenOf(one.pid)[0]);
    const { refusals } = await result<{ refusals: Json[] }>("check", ["check", pid], 3);
    assert.ok(refusals.length > 0);
    const { error } = await result<{ error: Json }>("error", ["freeze", pid, "-o", join(directory, "never")], 3);
    assert.equal(error["kind"], "refused");
    assert.ok(!existsSync(join(directory, "never")));
  });

  test("keys, and an image that is encrypted", async () => {
    await result("key list", ["key", "list"]);
    const first = await result<{ id: string }>("key new", ["key", "new"]);
    const { recipient } = await result<{ recipient: string }>("key new --encryption", ["key", "new", "--encryption"]);
    const other = { ...env, KMONTE_KEYS: join(directory, "other") };
    const { stdout } = await launch(KMONTE, ["key", "new", "--json"], { env: other }).done;
    const { id } = parseResult<{ id: string }>("key new", stdout);
    assert.deepEqual(await result("key trust", ["key", "trust", join(directory, "other/machine.pub")]), { id });
    await using program = Program.start("sleep", ["1000"]);
    const image = join(directory, "encrypted");
    await result("freeze", ["freeze", String(program.pid), "-o", image, "--leave-running", "--encrypt-to", recipient]);
    const plain = await result<{ files: string[] }>("decrypt", ["decrypt", image, "-o", join(directory, "plain")]);
    assert.deepEqual(plain.files.toSorted(), readdirSync(join(directory, "plain")).toSorted());
    await result("key revoke", ["key", "revoke", id]);
    const list = await result<{ keys: Json[]; revoked: Json[]; encryption: string }>("key list", ["key", "list"]);
    assert.deepEqual([list.keys[0]?.["id"], list.revoked[0]?.["id"], list.encryption], [first.id, id, recipient]);
  });

  test("doctor and kernels", async () => {
    const outcome = await run(["doctor"]);
    const { canSwap, refusals } = parseResult<{ canSwap: boolean; refusals: Json[] }>("doctor", outcome.stdout);
    assert.deepEqual([outcome.status, refusals.length === 0], canSwap ? [0, true] : [3, false]);
    await result("kernels", ["kernels"]);
  });

  const failed = unit("nginx.service", 700, { failure: FAILURE, directory: "/d" });
  for (const [name, one] of Object.entries({
    "one that came back": record(),
    "one that waits": waiting({ notes: ["Said."], health: { command: "true", seconds: 3 }, keep: true }),
    "one that went back": back(),
    "one with a unit that failed": record({ units: [failed], failure: FAILURE, kind: "suspend", state: "failed" }),
    "one with connections": record({
      connections: [{ local: end(1), remote: end(2), unit: "ssh.service", heard: 3 }],
      network: [{ local: end(0), remote: end(2) }],
    }),
  })) {
    test(`report: ${name}`, async () => {
      const state = { ...env, KMONTE_STATE: stateWith(directory, one) };
      const { stdout } = await launch(KMONTE, ["report", "--json"], { env: state }).done;
      assert.equal(parseResult("report", stdout)["state"], one.state);
    });
  }
  test("a report that is written to a file, or sent", async () => {
    const state = { ...env, KMONTE_STATE: stateWith(directory, record()) };
    const file = join(state.KMONTE_STATE, "file");
    const said = async (...args: string[]): Promise<string> =>
      (await launch(KMONTE, ["report", ...args, "--json"], { env: state }).done).stdout;
    assert.deepEqual(parseResult("report --html", await said("--html", file)), { file });
    assert.deepEqual(parseResult("report --metrics", await said("--metrics", file)), { file });
    assert.deepEqual(parseResult("report --mail", await said("--mail")), { mailed: [] });
  });

  test("where no swap waits", async () => {
    assert.deepEqual(await result("thaw --boot", ["thaw", "--boot"]), { swaps: [] });
    assert.deepEqual(await result("back", ["back", "--unless-healthy"]), { swaps: [] });
    assert.deepEqual(await result("hand-over", ["hand-over"]), { units: [] });
  });

  test("serve", async () => {
    mkdirSync(join(directory, "run"));
    const { child, done } = launch(KMONTE, ["serve", "--json"], { env });
    let printed = "";
    child.stdout?.on("data", (text: string) => (printed += text));
    await until(() => printed.endsWith("}\n"), "the service to listen");
    child.kill();
    await done;
    assert.deepEqual(parseResult("serve", printed), { listening: env.KMONTE_SOCKET });
  });
});

describe("errors", () => {
  const wrong: readonly (readonly [string, number, ...string[]])[] = [
    ["USAGE", 2, "frieze"],
    ["USAGE", 2, "freeze"],
    ["USAGE", 2, "check"],
    ["USAGE", 2, "key"],
    ["NO_SUCH_PROCESS", 3, "freeze", "4100000", "-o", "x"],
    ["NOT_AN_IMAGE", 3, "thaw", "/nonexistent"],
    ["NOT_AN_IMAGE", 3, "inspect", "/nonexistent"],
    ["NOT_A_KEY", 3, "key", "trust", "/nonexistent"],
    ["NOTHING_ON_TRIAL", 3, "back"],
    ["NO_SWAP_YET", 3, "report"],
    ["NO_SUCH_KERNEL", 3, "check", "--to", "0.0", "1"],
    ["NO_SUCH_KERNEL", 3, "rehearse", "--to", "0.0", "--pid", "1"],
  ];
  for (const [code, status, ...args] of wrong) {
    test(args.join(" "), async () => {
      const { error } = await result<{ error: Json }>("error", args, status);
      assert.equal(error["code"], code);
    });
  }
  // Where there is one, the tests in test/lab/ look at what they print.
  const isSystemd = existsSync("/run/systemd/system");
  for (const args of [["services"], ["protect", "--all"], ["suspend", "--plan"], ["serve", "--install"]]) {
    test(`${args.join(" ")}, without systemd`, { skip: isSystemd }, async () => {
      const { error } = await result<{ error: Json }>("error", args, 3);
      assert.equal(error["code"], "NO_SYSTEMD");
    });
  }
  test("what is not protected", async () => {
    await result("error", ["unprotect", "kmonte-json-test"], 3);
  });
});

function end(port: number): { readonly address: string; readonly port: number } {
  return { address: "192.0.2.1", port };
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}
