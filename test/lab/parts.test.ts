/** The parts of the lab that need no virtual machine. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { cacheDirectory, cached } from "../../lab/cache.ts";
import { mirrorInDeb822, mirrorInOneLine } from "../../lab/mirror.ts";
import { runTool } from "../../lab/tool.ts";
import { missingPackages } from "../../scripts/packages.ts";

describe("the mirror is the machine's own", () => {
  test("in stanzas", () => {
    const security = "Types: deb\nURIs: http://s.invalid/debian-security\nSuites: x-security\nComponents: main\n";
    const archive = "Types: deb\nURIs: http://m.invalid/debian/\nSuites: x x-updates\nComponents: main\n";
    assert.equal(mirrorInDeb822(`${security}\n${archive}`), "http://m.invalid/debian");
    assert.equal(mirrorInDeb822(`Enabled: no\n${archive}`), undefined);
    assert.equal(mirrorInDeb822(security), undefined);
  });
  test("in lines", () => {
    const lines = "# deb http://no.invalid/debian x main\ndeb [signed-by=/k] http://m.invalid/debian x main contrib\n";
    assert.equal(mirrorInOneLine(lines), "http://m.invalid/debian");
    assert.equal(mirrorInOneLine("deb http://o.invalid/apt x main\n"), undefined);
  });
});

const fails = async (target: string): Promise<void> => {
  writeFileSync(target, "half");
  throw new Error("no");
};

describe("the cache", () => {
  const directory = mkdtempSync(join(tmpdir(), "kmonte-test-"));
  const before = process.env["KMONTE_CACHE"];
  process.env["KMONTE_CACHE"] = directory;
  after(() => {
    if (before === undefined) delete process.env["KMONTE_CACHE"];
    else process.env["KMONTE_CACHE"] = before;
    rmSync(directory, { recursive: true });
  });

  test("builds once, and anew for another recipe", async () => {
    let built = 0;
    const build = async (target: string): Promise<void> => writeFileSync(target, String(++built));
    const first = await cached("thing", { a: 1 }, build);
    assert.deepEqual(await cached("thing", { a: 1 }, build), first);
    assert.notEqual((await cached("thing", { a: 2 }, build)).path, first.path);
    assert.equal(built, 2);
  });
  test("keeps nothing of a build that fails", async () => {
    await assert.rejects(cached("other", {}, fails), /no/);
    assert.ok(!readdirSync(cacheDirectory()).some((name) => name.startsWith("other") || name.startsWith("building")));
  });
  test("builds once for two who need it at the same time, and again when the first one was killed", async () => {
    const program = (wait: string): string => `
      import { writeFileSync } from "node:fs";
      import { setTimeout as delay } from "node:timers/promises";
      import { cached } from ${JSON.stringify(join(import.meta.dirname, "../../lab/cache.ts"))};
      const { path } = await cached("shared", {}, async (target) => {
        console.log("building");
        await delay(${wait});
        writeFileSync(target, "whole");
      });
      console.log(path);`;
    const start = (wait: string) => {
      const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program(wait)]);
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
      return { child, began: once(child.stdout, "data"), said: once(child, "close").then(() => said) };
    };
    const killed = start("600_000");
    await killed.began;
    const [one, other] = [start("500"), start("500")];
    await delay(500);
    assert.deepEqual(
      [one, other].map(({ child }) => child.exitCode),
      [null, null],
      "they wait",
    );
    killed.child.kill("SIGKILL");
    const said = (await Promise.all([one.said, other.said])).map((text) => text.trim().split("\n")).sort();
    assert.deepEqual(said.map((lines) => lines.length).sort(), [1, 2], JSON.stringify(said));
    assert.equal(said[0]?.at(-1), said[1]?.at(-1));
  });
});

test("a tool that fails is quoted", async () => {
  await assert.rejects(runTool("sh", ["-c", "echo broken >&2; exit 3"]), {
    code: "LAB_TOOL_FAILED",
    message: /broken/,
  });
  await assert.rejects(runTool("/nowhere", []), { code: "LAB_TOOL_FAILED" });
  assert.equal(existsSync("/nowhere"), false);
});

test("an interrupt ends what was started and removes what was made", async () => {
  const lifetime = join(import.meta.dirname, "../../lab/lifetime.ts");
  const tool = join(import.meta.dirname, "../../lab/tool.ts");
  const program = `
    import { temporaryDirectory } from ${JSON.stringify(lifetime)};
    import { runTool } from ${JSON.stringify(tool)};
    using directory = temporaryDirectory("kmonte-test-");
    const started = runTool("sh", ["-c", 'echo $$ > "$0/pid"; sleep 600 & wait', directory.path]);
    console.log(directory.path);
    await started;`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], { stdio: "pipe" });
  const [path] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  const pidFile = join(path.trim(), "pid");
  while (!existsSync(pidFile) || readFileSync(pidFile, "utf8") === "") await delay(20);
  const group = Number(readFileSync(pidFile, "utf8"));
  child.kill("SIGINT");
  const [status] = (await once(child, "close")) as [number];
  assert.equal(status, 130);
  assert.equal(existsSync(path.trim()), false);
  await delay(200);
  // Nobody waits for an orphan in some containers: then it stays as a zombie.
  const state = existsSync(`/proc/${group}/status`) ? readFileSync(`/proc/${group}/status`, "utf8") : "State:\tZ";
  assert.match(state, /^State:\tZ/m);
});

test("missing packages are told from installed ones", () => {
  assert.deepEqual(missingPackages(["dpkg", "no-such-package-at-all"]), ["no-such-package-at-all"]);
});
